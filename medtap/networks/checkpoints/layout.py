"""Layouts of official checkpoints: what their tensors are called here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from torch import Tensor

Rule: TypeAlias = tuple[str, tuple[str, ...]]
"""A regular expression of whole official names, and our names for what it matches, with groups as ``\\1``.

No name of ours: the tensor is known and not needed. Several: the tensor is split into as many equal parts, such as the
fused projection of queries, keys and values.
"""

Rules: TypeAlias = Sequence[Rule]
"""The layout of one network on one backbone; the first rule that matches a name holds."""


def under(prefix: str, own: str, rules: Rules) -> list[Rule]:
    """The same rules where the official names have a prefix (a regular expression) and ours have another."""
    return [(prefix + pattern, tuple(own + name for name in names)) for pattern, names in rules]


def translate_name(name: str, rules: Rules) -> tuple[str, ...] | None:
    """Our names for an official one, empty where it is not needed; None where no rule knows it."""
    for pattern, names in rules:
        if found := re.fullmatch(pattern, name):
            return tuple(found.expand(own) for own in names)
    return None


def unknown_names(names: Iterable[str], rules: Rules) -> list[str]:
    """The official names that no rule knows."""
    return [name for name in names if translate_name(name, rules) is None]


def translate(official: Mapping[str, Tensor], rules: Rules) -> dict[str, Tensor]:
    """Rename, split and leave out official tensors by rules; those that no rule knows are left out too."""
    ours: dict[str, Tensor] = {}
    for name, tensor in official.items():
        names = translate_name(name, rules) or ()
        parts = (tensor,) if len(names) <= 1 else tensor.chunk(len(names))
        ours |= dict(zip(names, parts, strict=False))
    return ours
