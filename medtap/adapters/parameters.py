"""Parameters of an adapter, and of the module that it is attached to: frozen, drawn, and given values by name."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Generator, Tensor, nn

from medtap.errors import WeightsError


def freeze(module: nn.Module) -> dict[str, bool]:
    """Freeze every parameter of a module; return by name whether each was trained before."""
    flags = {name: parameter.requires_grad for name, parameter in module.named_parameters()}
    module.requires_grad_(False)
    return flags


def restore_flags(module: nn.Module, flags: Mapping[str, bool]) -> None:
    """Freeze or thaw a module's parameters, each as ``freeze`` found it."""
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(flags[name])


@torch.no_grad()
def draw_kaiming(weight: Tensor, generator: Generator) -> None:
    """Fill a weight by Kaiming's uniform law with a = sqrt 5, as torch's own layers start; drawn on the CPU."""
    drawn = torch.empty(weight.shape)
    weight.copy_(nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=generator))


@torch.no_grad()
def load_values(own: Mapping[str, nn.Parameter], state: Mapping[str, Tensor], what: str) -> None:
    """Copy values by name into an adapter's own parameters.

    Args:
        own: the parameters by name.
        state: as many values of the same names and shapes.
        what: they are, for the error, such as ``LoRA factors``.

    Raises:
        WeightsError: names or shapes differ.
    """
    wrong = sorted(own.keys() ^ state.keys()) or [name for name in own if own[name].shape != state[name].shape]
    if wrong:
        raise WeightsError(
            f"the {what} do not fit the encoder, first at {wrong[0]!r}",
            expected=_shape(own.get(wrong[0])),
            found=_shape(state.get(wrong[0])),
            remedy="give those of the same method and options, for the same network",
        )
    for name, parameter in own.items():
        parameter.copy_(state[name])


def _shape(value: Tensor | None) -> str:
    return "none" if value is None else f"shape {list(value.shape)}"
