"""SSF, scaling and shifting of features (Lian et al., NeurIPS 2022), after layers and norms, inside their weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medtap.adapters.adapter import Adapter
from medtap.adapters.attached_change import AttachedChange
from medtap.adapters.targets import choose_targets, is_linear_or_convolution


@dataclass(frozen=True)
class Ssf(Adapter):
    """SSF: scale * y + shift for each output channel of a layer or norm (equation 3), 1 and 0 at the start.

    It is computed as a layer of weight scale * W and bias scale * b + shift (section 3.3). A layer without a bias is
    scaled alone: the shift of the norm that follows does the rest. What is trained is scale - 1, so that weight decay
    draws the scale to 1.

    Attributes:
        targets: which layers, see ``choose_targets``; ``all``, as in the paper, are the Linear layers, convolutions and
            norms with a scale of their own.
    """

    targets: str = "all"
    name = "ssf"

    def attach(self, encoder: nn.Module) -> AttachedChange:
        """Attach in place to the encoder's target layers."""
        changes: dict[str, nn.Module] = {}
        for name in choose_targets(encoder, self.targets, _can_change):
            parameters = dict(encoder.get_submodule(name).named_parameters(recurse=False))
            change = nn.Parameter(parameters["weight"].new_zeros(len(parameters["weight"])))
            changes[f"{name}.weight"] = ScaleAndShift(change)
            if "bias" in parameters:
                changes[f"{name}.bias"] = ScaleAndShift(change, nn.Parameter(torch.zeros_like(change)))
        return AttachedChange(encoder, changes, what="SSF values")


class ScaleAndShift(nn.Module):
    """Scales a weight or bias by output channel and shifts it.

    Args:
        scale_change: the scale less 1, [Co].
        shift: [Co]; none by default.
    """

    def __init__(self, scale_change: nn.Parameter, shift: nn.Parameter | None = None) -> None:
        super().__init__()
        self.scale_change, self.shift = scale_change, shift

    def forward(self, value: Tensor) -> Tensor:
        """Change a weight or bias [Co,...]."""
        scaled = value * (1 + self.scale_change).view(-1, *[1] * (value.ndim - 1))
        return scaled if self.shift is None else scaled + self.shift


def _can_change(layer: nn.Module) -> bool:
    if isinstance(layer, nn.LayerNorm | nn.GroupNorm | nn.BatchNorm2d):
        return all(value is not None and value.ndim == 1 for value in (layer.weight, layer.bias))
    return is_linear_or_convolution(layer)
