"""The dilated ResNet of PSPNet (Zhao et al., CVPR 2017): a stem of three convolutions, and stride 8 from layer 2 on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from medtap.networks.encoders import normalise
from medtap.networks.segmenter import Features

_STRIDES, _DILATIONS = (1, 2, 1, 1), (1, 1, 2, 4)
_EXPANSION = 4


class DilatedResNet(nn.Module):
    """A ResNet of bottlenecks whose layers 3 and 4 have dilations of 2 and 4 in place of their strides.

    Its names are torchvision's, but for the stem.

    Args:
        stem: channels of the stem's first two convolutions; the third has twice as many.
        widths: channels of the four layers' maps.
        depths: bottlenecks of the four layers.

    Attributes:
        channels: of the maps of layers 2, 3 and 4.
    """

    def __init__(self, stem: int, widths: Sequence[int], depths: Sequence[int]) -> None:
        super().__init__()
        self.channels = tuple(widths[1:])
        self.stem = deep_stem(stem)
        ends = pairwise((2 * stem, *widths))
        layers = map(_layer, ends, depths, _STRIDES, _DILATIONS)
        self.layer1, self.layer2, self.layer3, self.layer4 = layers

    def forward(self, images: Tensor) -> Features:
        """Encode images [B,3,H,W] in [0,1] into the maps of layers 2, 3 and 4, all of stride 8. Normalises inside."""
        layer2 = self.layer2(self.layer1(self.stem(normalise(images))))
        layer3 = self.layer3(layer2)
        return layer2, layer3, self.layer4(layer3)


class Bottleneck(nn.Module):
    """A residual block of a 1x1, a 3x3 and a 1x1 convolution (He et al., CVPR 2016; stride in the 3x3 convolution).

    Args:
        given: channels of its input.
        width: channels of its output, four times those between.
        stride: of the 3x3 convolution.
        dilation: of the 3x3 convolution.
        activated: whether a ReLU ends it.
    """

    def __init__(self, given: int, width: int, stride: int = 1, dilation: int = 1, *, activated: bool = True) -> None:
        super().__init__()
        narrow, self.activated = width // _EXPANSION, activated
        self.conv1, self.bn1 = nn.Conv2d(given, narrow, 1, bias=False), nn.BatchNorm2d(narrow)
        self.conv2 = nn.Conv2d(narrow, narrow, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(narrow)
        self.conv3, self.bn3 = nn.Conv2d(narrow, width, 1, bias=False), nn.BatchNorm2d(width)
        self.downsample: nn.Module = nn.Identity()
        if (given, stride) != (width, 1):
            self.downsample = nn.Sequential(nn.Conv2d(given, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, maps: Tensor) -> Tensor:
        """Turn maps [B,given,h,w] into [B,width,h',w']."""
        inner = self.bn1(self.conv1(maps)).relu()
        inner = self.bn2(self.conv2(inner)).relu()
        total: Tensor = self.bn3(self.conv3(inner)) + self.downsample(maps)
        return total.relu() if self.activated else total


def deep_stem(width: int) -> nn.Sequential:
    """Three 3x3 convolutions and a pooling, of stride 4: [B,3,H,W] -> [B,2*width,h,w]."""
    convolutions = *_convolution(3, width, stride=2), *_convolution(width, width), *_convolution(width, 2 * width)
    return nn.Sequential(*convolutions, nn.MaxPool2d(3, stride=2, padding=1))


def _convolution(given: int, width: int, stride: int = 1) -> tuple[nn.Module, ...]:
    return nn.Conv2d(given, width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()


def _layer(ends: tuple[int, int], depth: int, stride: int, dilation: int) -> nn.Sequential:
    given, width = ends
    others = (Bottleneck(width, width, dilation=dilation) for _ in range(depth - 1))
    return nn.Sequential(Bottleneck(given, width, stride, dilation), *others)


def dilated_resnet50() -> DilatedResNet:
    """ResNet-50: maps of 512, 1024 and 2048 channels."""
    return DilatedResNet(64, (256, 512, 1024, 2048), (3, 4, 6, 3))
