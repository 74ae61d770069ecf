"""DCAMA (Shi et al., ECCV 2022): the support masks, aggregated by dense attention at every block of the encoder.

The arithmetic is the published code's in evaluation, so that its checkpoints serve: positions are counted along the
rows, every resize has aligned corners, and support tokens of all shots are concatenated. Its dropout (0.5) in training
the head is left out, in `medtap pretrain` too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medtap.networks.blocks import BlockEncoder, resnet50_blocks, swin_b_blocks
from medtap.networks.origin import origin
from medtap.networks.segmenter import Features, FewShotSegmenter, Memory

_CODE = "written afresh for medtap (Apache-2.0); the published code carries no licence"
_WEIGHTS = "`medtap convert` of a checkpoint from https://github.com/pawn-sxy/DCAMA"
_NARROW, _MIDDLE, _WIDE = 16, 64, 128


class MaskAttention(nn.Module):
    """Multi-head attention of query tokens over support tokens whose value is the mask (section 3.2, equation 2).

    Args:
        channels: of query and support maps.
        heads: attention heads, whose results are averaged.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)

    def keys(self, support: Tensor) -> Tensor:
        """Project support maps [B,K,C,h,w] and their positions to keys [B,K,h*w,C]."""
        positions = row_positions(support.shape[2:], support)
        return self.key((support + positions).flatten(3).transpose(2, 3))

    def forward(self, query: Tensor, keys: Tensor, masks: Tensor) -> Tensor:
        """Aggregate masks for a query.

        Where the query has another grid than the support set, its positions are interpolated between the support's.

        Args:
            query: maps [B,C,h,w].
            keys: [B,K,h'*w',C].
            masks: [B,K,h',w'] in [0,1].

        Returns:
            Coarse masks [B,1,h,w].
        """
        positions = row_positions((query.shape[1], *masks.shape[-2:]), query).unsqueeze(0)
        positions = _aligned(positions, query.shape[-2:])
        q = self._split(self.query((query + positions).flatten(2).transpose(1, 2)))
        k = self._split(keys.flatten(1, 2))
        v = masks.flatten(1)[:, None, :, None].expand_as(k).contiguous()  # a head's width, for torch's fused attention
        attended = F.scaled_dot_product_attention(q, k, v)[..., 0].mean(1)
        return attended.unflatten(1, query.shape[-2:]).unsqueeze(1)

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(2, (self.heads, -1)).transpose(1, 2)


def row_positions(shape: Sequence[int], like: Tensor) -> Tensor:
    """Sines and cosines of a place's number along the rows: [C,h,w] of that shape, C even, typed as another tensor."""
    channels, height, width = shape
    rates = torch.exp(torch.arange(0, channels, 2, device=like.device) * -(math.log(10000.0) / channels))
    phases = rates.unsqueeze(1) * torch.arange(height * width, device=like.device)
    waves = torch.stack([phases.sin(), phases.cos()], dim=1).flatten(0, 1)
    return waves.unflatten(1, (height, width)).to(like.dtype)


class MaskDecoder(nn.Module):
    """Coarse masks of every block, mixed from stride 32 to 4 with the finest features, into logits (section 3.3).

    Args:
        depths: coarse masks at strides 8, 16 and 32.
        skip_channels: channels of the encoder's maps of strides 4 and 8.
    """

    def __init__(self, depths: tuple[int, ...], skip_channels: tuple[int, ...]) -> None:
        super().__init__()
        kernels = ((5, 5, 3), (5, 3, 3), (3, 3, 3))
        widths = (_NARROW, _MIDDLE, _WIDE)
        self.levels = nn.ModuleList(_squeeze((d, *widths), k) for d, k in zip(depths, kernels, strict=True))
        self.merge16, self.merge8 = (_squeeze((_WIDE,) * 4, (3, 3, 3)) for _ in range(2))
        self.mix4 = nn.Sequential(*_pair(_WIDE + 2 * sum(skip_channels), _WIDE, _MIDDLE), nn.ReLU())
        self.mix2 = nn.Sequential(*_pair(_MIDDLE, _MIDDLE, _NARROW), nn.ReLU())
        self.mix1 = nn.Sequential(*_pair(_NARROW, _NARROW, 2))

    def forward(self, coarse: list[Tensor], skips8: tuple[Tensor, Tensor], skips4: tuple[Tensor, Tensor]) -> Tensor:
        """Decode coarse masks [B,depth,h,w] of strides 8, 16, 32 and maps of query and support into logits [B,2,H,W].

        H and W are four times those of the query's map of stride 4.
        """
        m8, m16, m32 = (level(masks) for level, masks in zip(self.levels, coarse, strict=True))
        m16 = self.merge16(_aligned(m32, m16.shape[-2:]) + m16)
        mixed = self.merge8(_aligned(m16, m8.shape[-2:]) + m8)
        for query, support in (skips8, skips4):
            size = query.shape[-2:]
            mixed = torch.cat([_aligned(mixed, size), query, _aligned(support, size)], dim=1)
        mixed = self.mix4(mixed)
        mixed = self.mix2(_aligned(mixed, _doubled(mixed)))
        return self.mix1(_aligned(mixed, _doubled(mixed)))


class DcamaSegmenter(FewShotSegmenter):
    """DCAMA on an encoder that gives every block's map at strides 4, 8, 16 and 32.

    Args:
        encoder: of four stages.
        heads: attention heads at each level.
    """

    size = 384
    aligned = True

    def __init__(self, encoder: BlockEncoder, heads: int = 8) -> None:
        super().__init__()
        self.encoder = encoder
        self.attention = nn.ModuleList(MaskAttention(channels, heads) for channels in encoder.channels[1:])
        self.decoder = MaskDecoder(encoder.depths[1:], encoder.channels[:2])
        self._skipped = encoder.depths[0] - 1  # maps of stride 4 before the last one
        ends = list(accumulate(encoder.depths[1:], initial=0))
        self._levels = [slice(start, end) for start, end in pairwise(ends)]

    def encode(self, images: Tensor) -> Features:
        """Encode images [B,3,H,W] in [0,1] into the last map of stride 4 and every map of strides 8, 16 and 32."""
        return self.encoder(images)[self._skipped :]

    def remember(self, support: Features, support_masks: Tensor) -> Memory:
        """Keep the last maps of strides 4 and 8, the masks at three levels, and the keys of every block."""
        blocks = support[1:]
        levels = [blocks[level] for level in self._levels]
        masks = (_aligned(support_masks, level[0].shape[-2:]) for level in levels)
        attention = cast("Iterable[MaskAttention]", self.attention)
        keys = (attend.keys(block) for attend, level in zip(attention, levels, strict=True) for block in level)
        return (support[0], levels[0][-1], *masks, *keys)

    def recall(self, query: Features, memory: Memory) -> Tensor:
        """Decode the maps of a query against a memory into logits [B,2,H,W], four times the size of stride 4's map."""
        skip4, skip8, *kept = memory
        masks, keys, blocks = kept[: len(self._levels)], kept[len(self._levels) :], query[1:]
        coarse = [
            torch.cat([attend(*pair, mask) for pair in zip(blocks[level], keys[level], strict=True)], dim=1)
            for attend, mask, level in zip(self.attention, masks, self._levels, strict=True)
        ]
        last8 = blocks[self._levels[0]][-1]
        return self.decoder(coarse, (last8, skip8.amax(1)), (query[0], skip4.amax(1)))


def _squeeze(channels: tuple[int, ...], kernels: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for (given, returned), kernel in zip(pairwise(channels), kernels, strict=True):
        layers += [nn.Conv2d(given, returned, kernel, padding=kernel // 2), nn.GroupNorm(4, returned), nn.ReLU()]
    return nn.Sequential(*layers)


def _pair(given: int, between: int, returned: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(given, between, 3, padding=1), nn.ReLU(), nn.Conv2d(between, returned, 3, padding=1)


def _aligned(maps: Tensor, size: torch.Size) -> Tensor:
    """Resize maps [B,C,h,w] bilinearly with aligned corners, where they are not that size already."""
    return maps if maps.shape[-2:] == size else F.interpolate(maps, size=size, mode="bilinear", align_corners=True)


def _doubled(maps: Tensor) -> torch.Size:
    return torch.Size(2 * side for side in maps.shape[-2:])


@origin(encoder="Swin-B", code=_CODE, weights=_WEIGHTS, weights_licence="not stated")
def dcama_swin_b() -> FewShotSegmenter:
    """DCAMA on Swin-B: attention over 22 blocks, 5.07 M parameters in the head, 384 px."""
    return DcamaSegmenter(swin_b_blocks())


@origin(encoder="ResNet-50", code=_CODE, weights=_WEIGHTS, weights_licence="not stated")
def dcama_resnet50() -> FewShotSegmenter:
    """DCAMA on ResNet-50: attention over 13 bottlenecks, 14.2 M parameters in the head, 384 px."""
    return DcamaSegmenter(resnet50_blocks((1, 2, 3, 4)))
