"""ConvNeXt V2 (Woo et al., CVPR 2023), the encoder of medtap-atto, in torch alone.

Names, arithmetic and initial values are those of transformers' ``ConvNextV2Backbone``, whose weights fit and which the
tests compare it with. It is written again because importing transformers takes longer than all else that a first mask
needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from medtap.networks.segmenter import Features

_EPSILON = 1e-6


class FeatureMaps(NamedTuple):
    """What a backbone gives, as those of transformers do."""

    feature_maps: Features


class ConvNextV2LayerNorm(nn.LayerNorm):
    """Layer norm over the channels of maps, [B,h,w,C] or, with ``first``, [B,C,h,w]."""

    def __init__(self, channels: int, *, first: bool = False) -> None:
        super().__init__(channels, eps=_EPSILON)
        self.first = first

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise each pixel."""
        if not self.first:
            return super().forward(maps)
        return super().forward(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNextV2GRN(nn.Module):
    """Global response normalisation of maps [B,h,w,C]: channels compete by their norm over the picture (equation 1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 1, 1, channels))
        self.bias = nn.Parameter(torch.zeros(1, 1, 1, channels))

    def forward(self, maps: Tensor) -> Tensor:
        """Scale channels by their share, beside the identity."""
        norms = torch.linalg.vector_norm(maps, ord=2, dim=(1, 2), keepdim=True)
        shares = norms / (norms.mean(dim=-1, keepdim=True) + _EPSILON)
        return self.weight * (maps * shares) + self.bias + maps


class ConvNextV2Layer(nn.Module):
    """A block: depthwise 7x7 convolution, then an inverted bottleneck of pointwise layers, beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.layernorm = ConvNextV2LayerNorm(channels)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.act = nn.GELU()
        self.grn = ConvNextV2GRN(4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Compute maps [B,C,h,w] of the same shape."""
        inner = self.layernorm(self.dwconv(maps).permute(0, 2, 3, 1))
        inner = self.pwconv2(self.grn(self.act(self.pwconv1(inner))))
        return maps + inner.permute(0, 3, 1, 2)


class ConvNextV2Stage(nn.Module):
    """Blocks at one resolution, after a 2x2 convolution of stride 2 where the stage is not the first."""

    def __init__(self, given: int, channels: int, depth: int, stride: int) -> None:
        super().__init__()
        halving = (ConvNextV2LayerNorm(given, first=True), nn.Conv2d(given, channels, 2, stride=2))
        self.downsampling_layer = nn.ModuleList(halving if stride > 1 else ())
        self.layers = nn.ModuleList(ConvNextV2Layer(channels) for _ in range(depth))

    def forward(self, maps: Tensor) -> Tensor:
        """Compute maps [B,C,h,w] of half or the same height and width."""
        for layer in (*self.downsampling_layer, *self.layers):
            maps = layer(maps)
        return maps


class ConvNextV2Embeddings(nn.Module):
    """Patches of 4 x 4 pixels as maps of stride 4."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.patch_embeddings = nn.Conv2d(3, channels, 4, stride=4)
        self.layernorm = ConvNextV2LayerNorm(channels, first=True)

    def forward(self, images: Tensor) -> Tensor:
        """Embed images [B,3,H,W]."""
        normed: Tensor = self.layernorm(self.patch_embeddings(images))
        return normed


class ConvNextV2Stages(nn.Module):
    """The stages, one after another."""

    def __init__(self, widths: Sequence[int], depths: Sequence[int]) -> None:
        super().__init__()
        given = [(widths[0], widths[0]), *pairwise(widths)]
        self.stages = nn.ModuleList(
            ConvNextV2Stage(*sides, depth, stride=2 if number else 1)
            for number, (sides, depth) in enumerate(zip(given, depths, strict=True))
        )


class ConvNextV2(nn.Module):
    """ConvNeXt V2 as the normalised maps of all its stages, strides 4, 8, 16 and so on.

    Args:
        widths: channels of each stage.
        depths: blocks of each stage.

    Attributes:
        channels: of each map.
    """

    def __init__(self, widths: Sequence[int], depths: Sequence[int]) -> None:
        super().__init__()
        self.channels, self.depths = list(widths), list(depths)
        self.embeddings = ConvNextV2Embeddings(widths[0])
        self.encoder = ConvNextV2Stages(widths, depths)
        names = (f"stage{number}" for number in range(1, len(widths) + 1))
        self.hidden_states_norms = nn.ModuleDict(
            {name: ConvNextV2LayerNorm(width, first=True) for name, width in zip(names, widths, strict=True)}
        )
        self.apply(_draw)

    def forward(self, images: Tensor) -> FeatureMaps:
        """Compute the maps [B,C,h,w] of normalised images [B,3,H,W]."""
        maps, found = self.embeddings(images), []
        for stage, norm in zip(self.encoder.stages, self.hidden_states_norms.values(), strict=True):
            maps = stage(maps)
            found.append(norm(maps))
        return FeatureMaps(tuple(found))


def _draw(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
        nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
