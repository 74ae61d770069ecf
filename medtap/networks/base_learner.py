"""BAM's base learner: the head of a PSPNet (Zhao et al., CVPR 2017) that knows the classes it was trained on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medtap.networks.resampling import adaptive_mean, resize_aligned

_BINS = (1, 2, 3, 6)


class BaseLearner(nn.Module):
    """Means of a map over several grids beside the map itself, classified.

    Args:
        channels: of the maps; a quarter as many within.
        classes: base classes, without the background.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        narrow = channels // len(_BINS)
        self.levels = nn.ModuleList(_normed(channels, narrow, 1) for _ in _BINS)
        self.classify = nn.Sequential(*_normed(2 * channels, narrow, 3), nn.Conv2d(narrow, classes + 1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        """Probability [B,1,h,w] of maps [B,C,h,w] that a place is of any base class."""
        levels = zip(self.levels, _BINS, strict=True)
        means = (level(adaptive_mean(maps, (side, side))) for level, side in levels)
        pyramid = torch.cat([maps, *(resize_aligned(mean, maps.shape[-2:]) for mean in means)], dim=1)
        probabilities: Tensor = self.classify(pyramid).softmax(1)
        return probabilities[:, 1:].sum(1, keepdim=True)


def _normed(given: int, width: int, kernel: int) -> nn.Sequential:
    convolution = nn.Conv2d(given, width, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU())
