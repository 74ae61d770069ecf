"""Adapters: reversible changes of an encoder. A new one is a file and a line in ``ADAPTERS``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from medtap.adapters.adapter import Adapter, AttachedAdapter
from medtap.adapters.bottleneck import ParallelAdapter
from medtap.adapters.cobot import Cobot
from medtap.adapters.conv_lora import ConvLora
from medtap.adapters.dora import Dora
from medtap.adapters.ia3 import Ia3
from medtap.adapters.joined import SIGN, Joined
from medtap.adapters.loha import LoHa
from medtap.adapters.lokr import LoKr
from medtap.adapters.lora import Lora
from medtap.adapters.selected import BitFit, DecoderTuning, FullTuning, NormTuning
from medtap.adapters.ssf import Ssf
from medtap.adapters.svf import Svf
from medtap.errors import OptionError
from medtap.options import fill, refuse_unknown_choice

ADAPTERS: dict[str, type[Adapter]] = {
    "lora": Lora,
    "dora": Dora,
    "loha": LoHa,
    "lokr": LoKr,
    "ia3": Ia3,
    "svf": Svf,
    "ssf": Ssf,
    "conv_lora": ConvLora,
    "adapter": ParallelAdapter,
    "cobot": Cobot,
    "layernorm": NormTuning,
    "bitfit": BitFit,
    "decoder": DecoderTuning,
    "full": FullTuning,
}

__all__ = [
    "ADAPTERS",
    "Adapter",
    "AttachedAdapter",
    "BitFit",
    "Cobot",
    "ConvLora",
    "DecoderTuning",
    "Dora",
    "FullTuning",
    "Ia3",
    "Joined",
    "LoHa",
    "LoKr",
    "Lora",
    "NormTuning",
    "ParallelAdapter",
    "Ssf",
    "Svf",
    "build_adapter",
]


def build_adapter(method: str, options: Mapping[str, Any] | None = None) -> Adapter:
    """Build an adapter by the name of its method and its options.

    Raises:
        OptionError: the method or an option is unknown, or a value is refused.
    """
    if SIGN in method:
        return _joined(method.split(SIGN), options or {})
    refuse_unknown_choice(f"no method is called {method!r}", method, ADAPTERS)
    if isinstance(options, Mapping):
        _refuse_options_of_others(method, options)
    return fill(ADAPTERS[method], options or {})


def _refuse_options_of_others(method: str, options: Mapping[str, Any]) -> None:
    own = _option_names(ADAPTERS[method])
    for option in options:
        others = [other for other, kind in ADAPTERS.items() if option in _option_names(kind)]
        if option not in own and others:
            raise OptionError(
                f"{method} has no {option}",
                expected=", ".join(own),
                remedy=f"leave {option} out, or take a method that has it: {', '.join(others)}",
            )


def _option_names(kind: type[Adapter]) -> list[str]:
    return [field.name for field in fields(kind)]  # type: ignore[arg-type]


def _joined(methods: list[str], options: Mapping[str, Any]) -> Joined:
    """Joined adapters: ``adapters`` lists the options of each, any other option goes to each that has it."""
    each = options.get("adapters") or [{} for _ in methods]
    if len(each) != len(methods):
        raise OptionError("options of other adapters", expected=f"{len(methods)}", found=f"{len(each)}")
    shared = {name: value for name, value in options.items() if name != "adapters"}
    known = {method: _option_names(ADAPTERS[method]) for method in methods if method in ADAPTERS}
    foreign = sorted(name for name in shared if not any(name in own for own in known.values()))
    if foreign:
        raise OptionError(
            f"no option of {SIGN.join(methods)} is called {foreign[0]!r}",
            expected="; ".join(f"of {method} {', '.join(own) or 'none'}" for method, own in known.items()),
        )
    own = [{name: shared[name] for name in known.get(method, ()) if name in shared} for method in methods]
    return Joined(tuple(build_adapter(m, {**given, **told}) for m, given, told in zip(methods, own, each, strict=True)))
