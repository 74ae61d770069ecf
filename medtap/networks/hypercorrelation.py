"""What HSNet, PATNet and DMTNet share: the encoder's blocks, and a head that squeezes and mixes three 4D tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medtap.networks.blocks import BlockEncoder
from medtap.networks.centre_pivot import CentrePivotBlock
from medtap.networks.segmenter import Features, FewShotSegmenter

WIDTHS = (16, 64, 128)


class HypercorrelationSegmenter(FewShotSegmenter):
    """A network that matches block by block and decodes the matches by 4D convolutions.

    Args:
        encoder: gives the blocks of strides 8, 16 and 32.
        widths: channels of the head.
    """

    size = 400
    aligned = True

    def __init__(self, encoder: BlockEncoder, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.encoder, self.depths = encoder, encoder.depths
        self.head = HypercorrelationHead(encoder.depths, widths)

    def encode(self, images: Tensor) -> Features:
        """Encode images [B,3,H,W] in [0,1] into one map a block, of strides 8, 16 and 32."""
        maps: Features = self.encoder(images)
        return maps


class HypercorrelationHead(nn.Module):
    """Squeezes support places of each stage to one grid, and mixes stages from coarse to fine.

    Args:
        depths: channels of the 4D tensors of strides 8, 16 and 32.
        widths: channels within a squeezing block, multiples of 4; the last is the width of the rest.
    """

    def __init__(self, depths: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        middle, width = widths[-2:]
        self.squeeze8 = CentrePivotBlock(depths[0], widths, (5, 5, 3), (4, 4, 2))
        self.squeeze16 = CentrePivotBlock(depths[1], widths, (5, 3, 3), (4, 2, 2))
        self.squeeze32 = CentrePivotBlock(depths[2], widths, (3, 3, 3), (2, 2, 2))
        self.mix16 = CentrePivotBlock(width, (width,) * 3, (3, 3, 3), (1, 1, 1))
        self.mix8 = CentrePivotBlock(width, (width,) * 3, (3, 3, 3), (1, 1, 1))
        self.refine = nn.Sequential(_conv(width, width), nn.ReLU(), _conv(width, middle), nn.ReLU())
        self.classify = nn.Sequential(_conv(middle, middle), nn.ReLU(), _conv(middle, 2))

    def forward(self, tensors: Sequence[Tensor]) -> Tensor:
        """Decode 4D tensors [P,L,h,w,h',w'] of strides 8, 16 and 32 into binary logits [P,2,2h,2w]."""
        fine, middle, coarse = tensors
        x16, x8 = self.squeeze16(middle), self.squeeze8(fine)
        x16 = self.mix16(resize_query(self.squeeze32(coarse), x16.shape[2:4]) + x16)
        x8 = self.mix8(resize_query(x16, x8.shape[2:4]) + x8)
        refined = self.refine(x8.mean((4, 5)))
        return self.classify(F.interpolate(refined, scale_factor=2, mode="bilinear", align_corners=True))


def _conv(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1)


def resize_query(tensor: Tensor, grid: torch.Size) -> Tensor:
    """Resize the query places of [P,C,h,w,h',w'] bilinearly, corners aligned, to a grid."""
    planes = tensor.permute(0, 4, 5, 1, 2, 3)
    resized = F.interpolate(planes.flatten(0, 2), size=grid, mode="bilinear", align_corners=True)
    return resized.unflatten(0, planes.shape[:3]).permute(0, 3, 4, 5, 1, 2)
