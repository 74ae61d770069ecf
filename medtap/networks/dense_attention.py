"""Dense query-support attention, in the spirit of DCAMA (Shi et al., ECCV 2022), on a budget below one encode.

What differs from DCAMA: one attention a level instead of one a block, cosine attention with learnt temperatures, keys
of the stride-8 level pooled to stride 16, the mask's 4 x 4 patch under a key as its value (so that a key tells where
inside it the object lies), and prototypes of the support set (PANet) and of the query itself (SSP) beside it. Medical
pictures are taken in standard positions, so the place in the picture counts too: it is part of queries and keys, and
the mean of the support masks is a source of the decoder.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from medtap.networks.efficientnet_lite import EfficientNetLite
from medtap.networks.encoders import PyramidEncoder
from medtap.networks.level_matcher import PATCH, LevelMatcher, cosines, mask_patches, sums_by_mask, tokens_of
from medtap.networks.segmenter import Features, FewShotSegmenter, Memory, resize_logits


class Mix(nn.Sequential):
    """A 1x1 convolution that mixes sources, then a 3x3 one.

    Args:
        sources: channels of each source.
        width: channels of the mixture.
        out_channels: of what comes of it.
    """

    def __init__(self, sources: tuple[int, ...], width: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(sum(sources), width, 1),
            nn.GroupNorm(8, width),
            nn.GELU(),
            nn.Conv2d(width, out_channels, 3, padding=1),
            nn.GroupNorm(8, out_channels),
            nn.GELU(),
        )
        self.sources = sources

    def forward(self, *maps: Tensor) -> Tensor:
        """Mix maps [B,C,h,w], a source each, into [B,out,h,w], as fine as the finest of them.

        A coarser map passes its share of the 1x1 convolution as it is and is resized after: it comes to the same, for
        less.
        """
        first = cast("nn.Conv2d", self[0])
        shares = list(zip(maps, first.weight.split(self.sources, dim=1), strict=True))
        size = max(source.shape[2:] for source in maps)
        finest, weights = zip(*(share for share in shares if share[0].shape[2:] == size), strict=True)
        mixed = channels_first(tokens_of(torch.cat(finest, dim=1), torch.cat(weights, dim=1), first.bias))
        for source, weight in shares:
            if source.shape[2:] != size:
                mixed = mixed + resize_to(channels_first(tokens_of(source, weight)), mixed)
        for layer in list(self)[1:]:
            mixed = layer(mixed)
        return mixed


class Readout(nn.Conv2d):
    """A 1x1 convolution of maps that lie one by one in memory, as one product of matrices, which is sooner done."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [B,C,h,w] into [B,out,h,w]."""
        bias, weight = cast("Tensor", self.bias).unsqueeze(1), self.weight.flatten(1)
        return torch.baddbmm(bias, weight.expand(maps.shape[0], -1, -1), maps.flatten(2)).unflatten(2, maps.shape[2:])


class DenseAttentionSegmenter(FewShotSegmenter):
    """Encoder with maps at strides 2, 4, 8, 16, 32 and the dense attention head over the last three.

    Args:
        encoder: gives the five maps and tells their ``channels``.
        width: channels of the coarse decoder.
    """

    def __init__(self, encoder: PyramidEncoder | EfficientNetLite, width: int = 64) -> None:
        super().__init__()
        self.encoder = encoder
        detail, c4, c8, c16, c32 = encoder.channels
        m8, m16 = LevelMatcher(c8, heads=1, key_pool=2, spare=16), LevelMatcher(c16, heads=3, spare=16)
        self.match8, self.match16, self.match32 = m8, m16, LevelMatcher(c32, heads=4)
        self.mix16 = Mix((m16.out_channels, self.match32.out_channels, m16.width, PATCH**2), width, width)
        self.coarse = nn.Conv2d(width, 1, 1)
        self.mix8 = Mix((m8.out_channels, width, m8.width, 2), width, width)
        self.mix4 = Mix((width, c4), width // 2, detail)
        self.mix2 = nn.Sequential(nn.Conv2d(detail, detail, 3, padding=1), nn.GELU(), Readout(detail, 2))

    def encode(self, images: Tensor) -> Features:
        """Encode images [B,3,H,W] in [0,1] into maps of strides 2, 4, 8, 16 and 32."""
        return self.encoder(images)

    def remember(self, support: Features, support_masks: Tensor) -> Memory:
        """Keep keys of three levels, their sums by mask, and the masks' patches under them, at strides 16 and 32."""
        matchers = (self.match8, self.match16, self.match32)
        keys = [matcher.keys(level) for matcher, level in zip(matchers, support[2:], strict=True)]
        fine, coarse = (mask_patches(support_masks, level.shape[2:4]) for level in keys[1:])
        patches = (fine, fine, coarse)
        digests = [matcher.remember(*each) for matcher, *each in zip(matchers, keys, patches, strict=True)]
        return (*(part for digest in digests for part in digest), fine, coarse)

    def recall(self, query: Features, memory: Memory) -> Tensor:
        """Decode maps of strides 2 to 32 against a memory into logits [B,2,h,w] of stride 2."""
        detail, f4, f8, f16, f32 = query
        *digests, fine, coarse = memory
        q8, q16, q32 = self.match8.queries(f8), self.match16.queries(f16), self.match32.queries(f32)
        m16, m32 = self.match16(q16, *digests[2:4], fine), self.match32(q32, *digests[4:], coarse)
        usual = resize_to(fine.mean(1), f16).contiguous(memory_format=torch.channels_last)  # as the maps beside it lie
        x16 = self.mix16(*(channels_first(maps) for maps in (m16, m32, q16)), usual)
        guess = resize_to(self.coarse(x16).sigmoid(), f8)
        itself = cosines(q8, sums_by_mask(q8.flatten(1, 2), guess.flatten(1)))
        m8 = self.match8(q8, *digests[:2], fine)
        x8 = self.mix8(channels_first(m8), x16, channels_first(q8), channels_first(itself))
        x4 = self.mix4(x8, f4).contiguous()  # few channels are resized faster one by one
        logits: Tensor = self.mix2(resize_to(x4, detail) + detail)
        return logits


def channels_first(maps: Tensor) -> Tensor:
    """Maps [B,h,w,C] as [B,C,h,w], in memory as they were."""
    return maps.permute(0, 3, 1, 2)


def resize_to(maps: Tensor, like: Tensor) -> Tensor:
    """Resize maps [B,C,h,w] bilinearly to the height and width of another map, where they are not that size already."""
    return resize_logits(maps, like.shape[-2:])
