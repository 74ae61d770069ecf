"""The ResNet of SSP's published code (Fan et al., ECCV 2022): three layers, stride 8, no ReLU at the end."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from medtap.networks.dilated_resnet import Bottleneck, deep_stem
from medtap.networks.encoders import normalise
from medtap.networks.segmenter import Features


class SelfSupportResNet(nn.Module):
    """A ResNet of bottlenecks whose layer 3 is dilated from its second block on, where PSPNet's is from its first.

    Its names are torchvision's, but for the stem.

    Args:
        stem: channels of the stem's first two convolutions; the third has twice as many.
        widths: channels of the three layers' maps.
        depths: bottlenecks of the three layers.
    """

    def __init__(self, stem: int, widths: Sequence[int], depths: Sequence[int]) -> None:
        super().__init__()
        first, second, third = widths
        self.stem = deep_stem(stem)
        self.layer1 = _layer(2 * stem, first, depths[0])
        self.layer2 = _layer(first, second, depths[1], stride=2)
        self.layer3 = _layer(second, third, depths[2], dilation=2, activated=False)

    def forward(self, images: Tensor) -> Features:
        """Encode images [B,3,H,W] in [0,1] into the map of layer 3, of stride 8. Normalises inside."""
        return (self.layer3(self.layer2(self.layer1(self.stem(normalise(images))))),)


def _layer(
    given: int, width: int, depth: int, stride: int = 1, dilation: int = 1, *, activated: bool = True
) -> nn.Sequential:
    blocks = [Bottleneck(given, width, stride)]
    blocks += [Bottleneck(width, width, dilation=dilation) for _ in range(depth - 1)]
    blocks[-1].activated = activated
    return nn.Sequential(*blocks)


def self_support_resnet50() -> SelfSupportResNet:
    """ResNet-50 to its layer 3: a map of 1024 channels."""
    return SelfSupportResNet(64, (256, 512, 1024), (3, 4, 6))
