"""Which layers of an encoder an adapter changes."""

from __future__ import annotations

import re

from torch import nn

from medtap.errors import OptionError

_PATTERN = "re:"
_ATTENTION = re.compile(r"(^|\.)(q_proj|k_proj|v_proj|query|key|value|qkv)$")


def choose_targets(encoder: nn.Module, targets: str) -> list[str]:
    """Names of the layers to adapt.

    Args:
        encoder: of any kind.
        targets: ``attention`` (query, key and value projections), ``pointwise`` (every Linear layer and 1x1
            convolution), ``auto``: attention where the encoder has it, else pointwise (TaP, section 3.2), or ``re:``
            and a regular expression that is searched for in the names of pointwise layers.

    Raises:
        OptionError: the choice is unknown, or matches no layer of the encoder.
    """
    pointwise = [name for name, layer in encoder.named_modules() if is_pointwise(layer)]
    attention = [name for name in pointwise if _ATTENTION.search(name)]
    choices = {"auto": attention or pointwise, "attention": attention, "pointwise": pointwise}
    if targets.startswith(_PATTERN):
        pattern = _compiled(targets.removeprefix(_PATTERN))
        choices[targets] = [name for name in pointwise if pattern.search(name)]
    if targets not in choices:
        expected = f"one of {', '.join(choices)}, or {_PATTERN} and a regular expression"
        raise OptionError(f"no targets are called {targets!r}", expected=expected)
    if not choices[targets]:
        found = (
            ", ".join(sorted({name.rpartition(".")[2] for name in pointwise})) or "no Linear layer or 1x1 convolution"
        )
        raise OptionError(f"targets {targets!r} match no layer of the encoder", found=found)
    return choices[targets]


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise OptionError(f"{pattern!r} is no regular expression", found=str(error)) from error


def is_pointwise(layer: nn.Module) -> bool:
    """Whether a layer mixes channels at one place: Linear, or a dense 1x1 convolution."""
    if isinstance(layer, nn.Conv2d):
        return layer.kernel_size == (1, 1) and layer.groups == 1
    return isinstance(layer, nn.Linear)
