"""(IA)^3 (Liu et al., NeurIPS 2022): one learnt factor for each output channel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from medtap.adapters.adapter import Adapter
from medtap.adapters.branches import Branch, FoldedBranches, width_of
from medtap.adapters.targets import choose_targets, is_linear_or_convolution


@dataclass(frozen=True)
class Ia3(Adapter):
    """(IA)^3: l (W x + b) with one factor of l, 1 at the start, for each output channel.

    The paper (section 3.3) scales keys, values and hidden activations of feed-forward layers; here every target layer.
    What is trained is l - 1, so that weight decay draws l to 1.

    Attributes:
        targets: which layers, see ``choose_targets``.
    """

    targets: str = "auto"
    name = "ia3"

    def attach(self, encoder: nn.Module) -> FoldedBranches:
        """Attach in place to the encoder's target layers."""
        names = choose_targets(encoder, self.targets, is_linear_or_convolution)
        with torch.device("meta"):
            factors = {f"{name}.ia3": ChannelFactors(width_of(encoder.get_submodule(name))[1]) for name in names}
        return FoldedBranches(encoder, factors, what="IA3 factors")


class ChannelFactors(Branch):
    """Multiplies what a layer gives by 1 + change, channel by channel.

    Args:
        channels: that the layer gives.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.change = nn.Parameter(torch.empty(channels))

    def reset(self, generator: Generator) -> None:  # noqa: ARG002
        """No change; nothing is drawn."""
        self.change.zero_()

    def add_to(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:  # noqa: ARG002
        """The forward hook of the layer, which gives maps [B,C,h,w] or channels last.

        What a layer gives in bfloat16 leaves in the factors' own precision: changes of less than a per cent would be
        rounded away.
        """
        factors = 1 + self.change
        return output * (factors.view(-1, 1, 1) if isinstance(layer, nn.Conv2d) else factors)

    def folded(self, layer: nn.Module) -> dict[str, Tensor]:
        """Weight and bias, each multiplied."""
        factors = 1 + self.change
        own = layer.named_parameters(recurse=False)
        return {name: old * factors.view(-1, *[1] * (old.ndim - 1)) for name, old in own}
