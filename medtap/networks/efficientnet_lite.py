"""EfficientNet-Lite (Google, tensorflow/tpu, 2020), an encoder for small machines, in torch alone.

It is EfficientNet (Tan and Le, ICML 2019) without squeeze-and-excitation, its swish a ReLU6. Batch norms are folded
into the convolutions before them, so that an encoder is convolutions alone: it gives the same for a picture whatever
lies beside it, and its pointwise convolutions can be adapted like any network's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medtap.networks.segmenter import Features

_EPSILON = 1e-3  # of the published batch norms


class StageShape(NamedTuple):
    """Blocks at one resolution: how many, the side of their kernels, the first one's stride, and channels."""

    depth: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_STEM = 32
_LITE0 = (
    StageShape(1, 3, 1, 1, 16),
    StageShape(2, 3, 2, 6, 24),
    StageShape(2, 5, 2, 6, 40),
    StageShape(3, 3, 2, 6, 80),
    StageShape(3, 5, 1, 6, 112),
    StageShape(4, 5, 2, 6, 192),
    StageShape(1, 3, 1, 6, 320),
)


def scaled_stages(width: float, depth: float) -> tuple[StageShape, ...]:
    """The stages of a larger EfficientNet-Lite: those of EfficientNet-Lite0 with more channels and more blocks.

    Compound scaling (Tan and Le, ICML 2019, eq. 3) as it is published: channels to the nearest multiple of 8, at most a
    tenth below what was asked; blocks rounded up, but for the first stage and the last, which stay one block.

    Args:
        width: what channels are multiplied by.
        depth: what numbers of blocks are.
    """
    last = len(_LITE0) - 1
    depths = (s.depth if index in (0, last) else math.ceil(s.depth * depth) for index, s in enumerate(_LITE0))
    return tuple(
        stage._replace(depth=blocks, channels=_to_eights(stage.channels * width))
        for stage, blocks in zip(_LITE0, depths, strict=True)
    )


def _to_eights(channels: float) -> int:
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


def pad_as_tensorflow(maps: Tensor, convolution: nn.Conv2d) -> Tensor:
    """Pad maps [B,C,h,w] for a strided convolution to give ceil(side / stride) pixels a side: behind before before."""
    stride, kernel = convolution.stride[0], convolution.kernel_size[0]
    if stride == 1:
        return maps
    missing = [max(kernel - (side % stride or stride), 0) for side in maps.shape[:1:-1]]
    return F.pad(maps, [part for lack in missing for part in (lack // 2, lack - lack // 2)])


class InvertedBottleneck(nn.Module):
    """A block (MobileNetV2, Sandler et al., CVPR 2018): widen, convolve each channel, narrow; beside the identity."""

    def __init__(self, given: int, channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = given * expansion
        self.expand = nn.Conv2d(given, wide, 1) if expansion > 1 else None
        padding = kernel // 2 if stride == 1 else 0
        self.depthwise = nn.Conv2d(wide, wide, kernel, stride, padding, groups=wide)
        self.project = nn.Conv2d(wide, channels, 1)
        self.residual = stride == 1 and given == channels

    def forward(self, maps: Tensor) -> Tensor:
        """Compute maps [B,C',h',w'] of maps [B,C,h,w]."""
        inner = maps if self.expand is None else F.relu6(self.expand(maps), inplace=True)
        inner = F.relu6(self.depthwise(pad_as_tensorflow(inner, self.depthwise)), inplace=True)
        inner = self.project(inner)
        return maps + inner if self.residual else inner


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite as its last map at each of the strides 2, 4, 8, 16 and 32, normalised inside.

    Each map passes a 1x1 convolution of its own, a lateral (FPN, Lin et al., CVPR 2017), to as many channels as a head
    wants.

    Args:
        channels: of each map that it gives.
        stages: one after another, behind a convolution of stride 2.
    """

    def __init__(self, channels: Sequence[int], stages: Sequence[StageShape] = _LITE0) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, _STEM, 3, stride=2)
        widths = [_STEM, *(stage.channels for stage in stages)]
        self.stages = nn.ModuleList(_stage(given, stage) for given, stage in zip(widths, stages, strict=False))
        ends = [after.stride > 1 for _, after in pairwise(stages)]
        self.ends = (*ends, True)
        self.channels = tuple(channels)
        given = [stage.channels for stage, end in zip(stages, self.ends, strict=True) if end]
        self.laterals = nn.ModuleList(nn.Conv2d(*sides, 1) for sides in zip(given, channels, strict=True))

    def forward(self, images: Tensor) -> Features:
        """Encode images [B,3,H,W] in [0,1] into maps [B,C,h,w], fine to coarse."""
        maps = self.maps(images)
        return tuple(lateral(each) for lateral, each in zip(self.laterals, maps, strict=True))

    def maps(self, images: Tensor) -> Features:
        """The maps before the laterals."""
        images = images.contiguous(memory_format=torch.channels_last)  # in which depthwise convolutions are sooner done
        maps = F.relu6(self.stem(pad_as_tensorflow((images * 255 - 127) / 128, self.stem)))
        found = []
        for stage, end in zip(self.stages, self.ends, strict=True):
            maps = stage(maps)
            if end:
                found.append(maps)
        return tuple(found)


def _stage(given: int, shape: StageShape) -> nn.Sequential:
    first = InvertedBottleneck(given, shape.channels, shape.kernel, shape.stride, shape.expansion)
    rest = (shape.channels, shape.channels, shape.kernel, 1, shape.expansion)
    return nn.Sequential(first, *(InvertedBottleneck(*rest) for _ in range(shape.depth - 1)))


def fold_published(published: Mapping[str, Tensor], encoder: EfficientNetLite) -> dict[str, Tensor]:
    """Translate a published EfficientNet-Lite (layout of ``efficientnet_lite_pytorch``) to an encoder's weights.

    Args:
        published: by name; the classifier's are left out.
        encoder: of the same stages. Its laterals are not among what is given.

    Raises:
        KeyError: a weight is missing.
    """
    folded: dict[str, Tensor] = {}
    for own, (convolution, norm) in _published_names(encoder).items():
        gain = published[f"{norm}.weight"] / (published[f"{norm}.running_var"] + _EPSILON).sqrt()
        folded[f"{own}.weight"] = published[f"{convolution}.weight"] * gain.view(-1, 1, 1, 1)
        folded[f"{own}.bias"] = published[f"{norm}.bias"] - published[f"{norm}.running_mean"] * gain
    return folded


def _published_names(encoder: EfficientNetLite) -> dict[str, tuple[str, str]]:
    """By an own convolution's name, the published names of it and of its batch norm."""
    names = {"stem": ("_conv_stem", "_bn0")}
    blocks = [name for name, module in encoder.named_modules() if isinstance(module, InvertedBottleneck)]
    for number, own in enumerate(blocks):
        parts = {"expand": ("_expand_conv", "_bn0"), "depthwise": ("_depthwise_conv", "_bn1")}
        parts["project"] = ("_project_conv", "_bn2")
        if encoder.get_submodule(own).expand is None:
            del parts["expand"]
        names |= {f"{own}.{part}": (f"_blocks.{number}.{a}", f"_blocks.{number}.{b}") for part, (a, b) in parts.items()}
    return names
