"""Atrous spatial pyramid pooling (Chen et al., DeepLabv3, 2017), as BAM's meta learner has it: without BatchNorm."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

DILATIONS = (6, 12, 18)


class Aspp(nn.Module):
    """The mean of a map, a 1x1 convolution and dilated 3x3 convolutions, side by side.

    Args:
        width: channels of the maps, and of each branch.
        dilations: of the 3x3 convolutions.
    """

    def __init__(self, width: int, dilations: Sequence[int] = DILATIONS) -> None:
        super().__init__()
        self.whole = nn.Sequential(nn.Conv2d(width, width, 1), nn.ReLU())
        convolutions = [nn.Conv2d(width, width, 1)]
        convolutions += [nn.Conv2d(width, width, 3, padding=rate, dilation=rate) for rate in dilations]
        self.branches = nn.ModuleList(nn.Sequential(convolution, nn.ReLU()) for convolution in convolutions)

    def forward(self, maps: Tensor) -> Tensor:
        """Turn maps [B,C,h,w] into [B,L*C,h,w], for L branches with the mean's first."""
        whole = self.whole(maps.mean((2, 3), keepdim=True)).expand_as(maps)
        return torch.cat([whole, *(branch(maps) for branch in self.branches)], dim=1)
