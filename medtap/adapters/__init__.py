"""Adapters: reversible changes of an encoder. A new one is a file and a line in ``ADAPTERS``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medtap.adapters.adapter import Adapter, AttachedAdapter
from medtap.adapters.lora import Lora
from medtap.errors import OptionError
from medtap.options import fill

ADAPTERS: dict[str, type[Adapter]] = {"lora": Lora}

__all__ = ["ADAPTERS", "Adapter", "AttachedAdapter", "Lora", "build_adapter"]


def build_adapter(method: str, options: Mapping[str, Any] | None = None) -> Adapter:
    """Build an adapter by the name of its method and its options.

    Raises:
        OptionError: the method or an option is unknown, or a value is refused.
    """
    if method not in ADAPTERS:
        raise OptionError(f"no method is called {method!r}", expected=f"one of {', '.join(ADAPTERS)}")
    return fill(ADAPTERS[method], options or {})
