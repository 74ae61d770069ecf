"""Named settings of the adaptation: medtap's own fast and thorough ones, and the paper's plain one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from medtap.adapters import Adapter, build_adapter
from medtap.options import fill, refuse_unknown_choice
from medtap.tap_options import TapOptions


@dataclass(frozen=True)
class Preset:
    """What differs from the defaults.

    Attributes:
        tap: options of the loop.
        method: name of the adapter.
        adapters: by method, options of its adapter.
        learning_rates: by method, the learning rate; of the others, that of ``tap``.
    """

    tap: Mapping[str, Any] = field(default_factory=dict)
    method: str = "lora"
    adapters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    learning_rates: Mapping[str, float] = field(default_factory=dict)


PRESETS: dict[str, Preset] = {
    "medtap": Preset(
        learning_rates={
            "dora": 3e-3,
            "loha": 1e-3,
            "lokr": 1e-3,
            "ia3": 3e-3,
            "svf": 3e-2,
            "ssf": 3e-3,
            "conv_lora": 3e-4,
            "adapter": 3e-4,
            "cobot": 3e-4,
            "layernorm": 3e-3,
            "bitfit": 1e-2,
            "decoder": 1e-4,
            "full": 1e-4,
        },
    ),
    "paper": Preset(
        {"passes": 8, "learning_rate": 1e-3, "loss": "focal", "schedule": "per_support"}
        | {"rates": "even", "augment": "none", "views": 0, "average": 0, "guard": "none"}
        | {"precision": "float32"},
        adapters={"lora": {"rank": 64, "dropout": 0.1}},
    ),
    "head": Preset({"closing": 4, "forgiven": 0.01}, "lora+decoder"),
    "thorough": Preset(
        {"passes": 40, "learning_rate": 1e-3, "average": 20, "schedule": "per_group", "augment": "upright"}
        | {"rates": "even", "guard": "held_out_masks", "closing": 10, "forgiven": 0.01},
        "lora+decoder",
    ),
}
"""The learning rates of ``medtap`` were chosen by ``configs/benchmark/adapter_rates.yaml``. ``paper`` is De Marinis et
al. (2026): rank 64, one step a pseudo-query, K = 1 by the self-pair, no more. ``head`` trains the head beside the
encoder; ``thorough`` does that ten times as long, on views. They were chosen by
``configs/benchmark/unseen_domains.yaml``.
"""


def use_preset(
    name: str, method: str | None = None, adapter: Mapping[str, Any] | None = None, **tap: Any
) -> tuple[Adapter, TapOptions]:
    """The adapter and the options of a preset.

    Args:
        name: of the preset.
        method: name of the adapter; the preset's when None.
        adapter: options of it that replace the preset's; those of None do not.
        tap: options of the loop that replace the preset's; those of None do not.

    Raises:
        OptionError: the preset, method or an option is unknown, or a value is refused.
    """
    refuse_unknown_choice(f"no preset is called {name!r}", name, PRESETS)
    preset = PRESETS[name]
    method = method or preset.method
    own = build_adapter(method, {**preset.adapters.get(method, {}), **_given(adapter or {})})
    rate = {"learning_rate": preset.learning_rates.get(method)}
    return own, fill(TapOptions, {**preset.tap, **_given(rate), **_given(tap)})


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
