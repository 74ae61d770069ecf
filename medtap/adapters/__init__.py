"""Adapters: reversible changes of an encoder. A new one is a file and a line in ``ADAPTERS``."""

from __future__ import annotations

from collections.abc import Mapping
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
from medtap.options import fill, refuse_unknown

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
    if method not in ADAPTERS:
        raise OptionError(f"no method is called {method!r}", expected=f"one of {', '.join(ADAPTERS)}")
    return fill(ADAPTERS[method], options or {})


def _joined(methods: list[str], options: Mapping[str, Any]) -> Joined:
    refuse_unknown(options, ["adapters"])
    each = options.get("adapters") or [{} for _ in methods]
    if len(each) != len(methods):
        raise OptionError("options of other adapters", expected=f"{len(methods)}", found=f"{len(each)}")
    return Joined(tuple(build_adapter(*one) for one in zip(methods, each, strict=True)))
