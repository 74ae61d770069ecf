"""Which layers of an encoder an adapter changes."""

from __future__ import annotations

import re
from collections.abc import Callable

from torch import nn

from medtap.errors import OptionError

_PATTERN = "re:"
_ATTENTION = re.compile(r"(^|\.)(q_proj|k_proj|v_proj|query|key|value|qkv)$")
_NORM = re.compile(r"(Norm(1d|2d|3d)?|GRN)$")


def is_pointwise(layer: nn.Module) -> bool:
    """Whether a layer mixes channels at one place: Linear, or a dense 1x1 convolution."""
    if isinstance(layer, nn.Conv2d):
        return layer.kernel_size == (1, 1) and layer.groups == 1
    return isinstance(layer, nn.Linear)


def is_linear_or_convolution(layer: nn.Module) -> bool:
    """Whether a layer is Linear or a convolution of any size, stride, dilation, padding and grouping."""
    return isinstance(layer, nn.Linear | nn.Conv2d)


def is_zero_padded(layer: nn.Module) -> bool:
    """Whether a layer is Linear, or a convolution that pads with zeros if at all."""
    if isinstance(layer, nn.Conv2d):
        return layer.padding_mode == "zeros"
    return isinstance(layer, nn.Linear)


def is_norm(layer: nn.Module) -> bool:
    """Whether a layer normalises, torch's or a network's own: the name of its class ends in Norm, Norm2d or GRN."""
    return _NORM.search(type(layer).__name__) is not None


def choose_targets(
    encoder: nn.Module, targets: str, can_change: Callable[[nn.Module], bool] = is_pointwise
) -> list[str]:
    """Names of the layers to adapt, among those that a method can change.

    Args:
        encoder: of any kind.
        targets: ``attention`` (query, key and value projections), ``pointwise`` (every Linear layer and 1x1
            convolution), ``all``, ``auto``: attention where the encoder has it, else pointwise (TaP, section 3.2), else
            all, or ``re:`` and a regular expression that is searched for in the names of layers.
        can_change: whether the method can change a layer.

    Raises:
        OptionError: the choice is unknown, or matches no layer of the encoder.
    """
    layers = {name: layer for name, layer in encoder.named_modules() if can_change(layer)}
    pointwise = [name for name, layer in layers.items() if is_pointwise(layer)]
    attention = [name for name in pointwise if _ATTENTION.search(name)]
    every = list(layers)
    choices = {"auto": attention or pointwise or every, "attention": attention, "pointwise": pointwise, "all": every}
    if targets.startswith(_PATTERN):
        pattern = _compiled(targets.removeprefix(_PATTERN))
        choices[targets] = [name for name in layers if pattern.search(name)]
    if targets not in choices:
        expected = f"one of {', '.join(choices)}, or {_PATTERN} and a regular expression"
        raise OptionError(f"no targets are called {targets!r}", expected=expected)
    if not choices[targets]:
        raise OptionError(f"targets {targets!r} match no layer of the encoder", found=_told(layers))
    return choices[targets]


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise OptionError(f"{pattern!r} is no regular expression", found=str(error)) from error


def _told(layers: dict[str, nn.Module]) -> str:
    """The last parts of the names of the layers that could match."""
    nothing = "no Linear layer or 1x1 convolution, nor another layer that the method can change"
    return ", ".join(sorted({name.rpartition(".")[2] for name in layers})) or nothing
