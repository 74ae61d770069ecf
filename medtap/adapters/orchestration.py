"""Cross-block orchestration (Peng et al., SAM-COBOT, CVPR 2024): the bottlenecks of all blocks scaled together."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from medtap.adapters.quaternion import hamilton_matrix


class Coefficients(nn.Module):
    """Coefficients of the bottlenecks of L blocks, each of width V, and how they depend on one another.

    Args:
        width: V.
        blocks: L.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.coefficients = nn.Parameter(torch.empty(width, blocks))
        self.relation = nn.Parameter(torch.empty(blocks, blocks))

    def reset(self) -> None:
        """C: ones; P: the identity."""
        self.coefficients.fill_(1.0)
        self.relation.copy_(torch.eye(len(self.relation)))

    def forward(self, block: int) -> Tensor:
        """Lambda [V] of a block: its column of C P."""
        return self.coefficients @ self.relation[:, block]


class Orchestration(nn.Module):
    """What a block's bottleneck does with its V channels: u becomes D [u * (lambda + gamma)].

    Args:
        shared: coefficients of all blocks.
        block: index of this one.
        width: V, a multiple of 4.
    """

    def __init__(self, shared: Coefficients, block: int, width: int) -> None:
        super().__init__()
        self.shared, self.block = shared, block
        self.gamma = nn.Parameter(torch.empty(width))
        self.quaternion = nn.Parameter(torch.empty(4, width // 4, width // 4))

    def reset(self, generator: Generator) -> None:
        """Gamma: ones; the quaternion's r: zero, its i, j and k: uniform in [0,1); and the shared ones."""
        self.shared.reset()
        self.gamma.fill_(1.0)
        self.quaternion.copy_(torch.rand(self.quaternion.shape, generator=generator))
        self.quaternion[0].zero_()

    def matrix(self) -> Tensor:
        """The whole as a matrix M [V,V], for it is linear: u M."""
        scale = self.shared(self.block) + self.gamma
        return scale.unsqueeze(1) * hamilton_matrix(self.quaternion)

    def forward(self, narrow: Tensor) -> Tensor:
        """Scale and mix the channels of [...,V]."""
        return narrow @ self.matrix()
