"""The last part of PFENet and BAM: maps narrowed, refined and classified."""

from __future__ import annotations

from torch import Tensor, nn

from medtap.networks.prior_guidance import pointwise


class MaskClassifier(nn.Module):
    """Turns maps into binary logits.

    The dropout of the published code belongs to training the head, which is not done here.

    Args:
        channels: of the maps.
        width: channels within.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.narrow, self.refine = pointwise(channels, width), ResidualPair(width)
        self.classify = nn.Sequential(_convolution(width), nn.ReLU(), nn.Conv2d(width, 2, 1))

    def forward(self, maps: Tensor) -> Tensor:
        """Classify maps [B,C,h,w] into logits [B,2,h,w]."""
        logits: Tensor = self.classify(self.refine(self.narrow(maps)))
        return logits


class ResidualPair(nn.Module):
    """Two 3x3 convolutions without bias, a ReLU after each, added to what they were given.

    Args:
        width: channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pair = nn.Sequential(_convolution(width), nn.ReLU(), _convolution(width), nn.ReLU())

    def forward(self, maps: Tensor) -> Tensor:
        """Refine maps [B,C,h,w]."""
        refined: Tensor = self.pair(maps) + maps
        return refined


def _convolution(width: int) -> nn.Conv2d:
    return nn.Conv2d(width, width, 3, padding=1, bias=False)
