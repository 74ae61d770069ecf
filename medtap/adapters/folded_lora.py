"""LoRA's factors folded into an encoder's weights in torch alone, for peft takes seconds to import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medtap.adapters.parameters import load_values


def fold_factors(
    encoder: nn.Module, layers: Sequence[str], rank: int, scale: float, values: Mapping[str, Tensor]
) -> None:
    """Give layers new weights W + scale * B A in place, to the bit what peft merges.

    Args:
        encoder: of Linear layers and dense convolutions.
        layers: names of those that are changed.
        rank: r of the factors.
        scale: what their product is multiplied by.
        values: by name such as ``x.lora_A.weight``, A [r,Ci] or [r,Ci,k,k] and B [Co,r] or [Co,r,1,1] of each.

    Raises:
        WeightsError: names or shapes differ.
    """
    parts = {name: encoder.get_submodule(name) for name in layers}
    own = {f"{name}.lora_{side}.weight": value for name in parts for side, value in _factors(parts[name], rank).items()}
    load_values(own, values, "LoRA factors")
    for name, part in parts.items():
        weight = part.get_parameter("weight")
        change = scale * _product(own[f"{name}.lora_A.weight"], own[f"{name}.lora_B.weight"])
        part.weight = nn.Parameter(weight.detach() + change.to(weight.dtype), weight.requires_grad)


def _factors(layer: nn.Module, rank: int) -> dict[str, nn.Parameter]:
    weight = layer.get_parameter("weight")
    outputs, inputs, *kernel = weight.shape
    shapes = {"A": (rank, inputs, *kernel), "B": (outputs, rank, *(1 for _ in kernel))}
    return {side: nn.Parameter(weight.new_empty(shape), requires_grad=False) for side, shape in shapes.items()}


@torch.no_grad()
def _product(down: Tensor, up: Tensor) -> Tensor:
    """B A: [Co,Ci] of a Linear layer, [Co,Ci,k,k] of a convolution."""
    if down.ndim == 2:
        return up @ down
    if down.shape[-2:] == (1, 1):
        return (up.flatten(1) @ down.flatten(1))[..., None, None]
    return F.conv2d(down.permute(1, 0, 2, 3), up).permute(1, 0, 2, 3)
