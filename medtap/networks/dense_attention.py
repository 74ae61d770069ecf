"""Dense query-support attention, in the spirit of DCAMA (Shi et al., ECCV 2022), on a budget below one encode.

What differs from DCAMA: one attention a level instead of one a block, cosine attention with learnt temperatures, keys
of the stride-8 level pooled to stride 16, the mask's 4 x 4 patch under a key as its value (so that a key tells where
inside it the object lies), and prototypes of the support set (PANet) and of the query itself (SSP) beside it. Medical
pictures are taken in standard positions, so the place in the picture counts too: it is part of queries and keys, and
the mean of the support masks is a source of the decoder.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medtap.networks.encoders import PyramidEncoder
from medtap.networks.segmenter import Features, FewShotSegmenter, Memory

_PATCH = 4  # a key's value is the mask under it as PATCH x PATCH means
_WAVES = (0.25, 0.5, 1.0, 2.0)  # waves across the picture by which a place is told


class LevelMatcher(nn.Module):
    """Matches the query with the support set at one level of the pyramid.

    Args:
        channels: channels of the level's feature map.
        heads: attention heads, each with its own temperature. A head has as many channels as a mask patch, so that
            torch's fused attention serves.
        key_pool: factor by which keys are coarser than queries.
    """

    def __init__(self, channels: int, heads: int, key_pool: int = 1) -> None:
        super().__init__()
        self.heads, self.key_pool = heads, key_pool
        self.width = heads * _PATCH**2
        self.project = nn.Conv2d(channels, self.width, 1)
        self.place = nn.Conv2d(4 * len(_WAVES), self.width, 1, bias=False)
        nn.init.zeros_(self.place.weight)
        self.temperature = nn.Parameter(torch.linspace(1.5, 3.5, heads))
        self.out_channels = self.width + 2

    def queries(self, features: Tensor) -> Tensor:
        """Project features [B,C,h,w] and their places to [B,width,h,w]."""
        return self.project(features) + self.place(place_waves(features))

    def keys(self, features: Tensor) -> Tensor:
        """Project support features [B,K,C,h,w] to keys [B,K,width,h',w']."""
        keys = self.queries(features.flatten(0, 1))
        if self.key_pool > 1:
            keys = F.avg_pool2d(keys, self.key_pool)
        return keys.unflatten(0, features.shape[:2])

    def forward(self, query: Tensor, keys: Tensor, patches: Tensor) -> Tensor:
        """Match projected queries [B,width,h,w] with keys [B,K,width,h',w'] and their mask patches [B,K,16,h',w'].

        Returns:
            [B, heads * 16 + 2, h, w]: attended mask patches, then cosines to foreground and background prototypes.
        """
        attended = self._attend(query, keys, patches)
        return torch.cat([attended, cosine_to_prototypes(query, keys, patches.mean(2, keepdim=True))], dim=1)

    def _attend(self, query: Tensor, keys: Tensor, patches: Tensor) -> Tensor:
        q = F.normalize(query.unflatten(1, (self.heads, -1)).flatten(3).transpose(2, 3), dim=-1)
        k = F.normalize(keys.unflatten(2, (self.heads, -1)).flatten(4).permute(0, 2, 1, 4, 3).flatten(2, 3), dim=-1)
        v = patches.flatten(3).transpose(2, 3).flatten(1, 2).unsqueeze(1).expand(-1, self.heads, -1, -1)
        q = (q * self.temperature.exp().view(1, -1, 1, 1)).contiguous()
        attended = F.scaled_dot_product_attention(q, k, v, scale=1.0)
        return attended.transpose(2, 3).flatten(1, 2).unflatten(2, query.shape[-2:])


def cosine_to_prototypes(query: Tensor, keys: Tensor, foreground: Tensor) -> Tensor:
    """Cosines of a query [B,C,h,w] to the mean key inside and outside of a soft mask.

    Args:
        query: maps [B,C,h,w].
        keys: maps [B,K,C,h',w'].
        foreground: soft masks [B,K,1,h',w'] in [0,1].

    Returns:
        [B,2,h,w]: cosine to the background prototype, then to the foreground one (PANet, Wang et al., ICCV 2019).
    """
    weights = torch.cat([1 - foreground, foreground], dim=2)
    sums = torch.einsum("bkchw,bkphw->bpc", keys, weights)
    prototypes = F.normalize(sums, dim=-1)
    return torch.einsum("bpc,bchw->bphw", prototypes, F.normalize(query, dim=1))


def place_waves(maps: Tensor) -> Tensor:
    """Sines and cosines of the place in a picture [1,16,h,w], for maps [B,C,h,w]: the same place at any resolution."""
    lines = [(torch.arange(side, device=maps.device) + 0.5) / side for side in maps.shape[-2:]]
    places = torch.stack(torch.meshgrid(*lines, indexing="ij")).to(maps.dtype)
    phases = 2 * torch.pi * places.new_tensor(_WAVES).view(-1, 1, 1, 1) * places
    return torch.cat([phases.sin(), phases.cos()]).flatten(0, 1).unsqueeze(0)


class Mix(nn.Sequential):
    """A 1x1 convolution that mixes sources, then a 3x3 one: [B,in,h,w] -> [B,out,h,w]."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 1),
            nn.GroupNorm(8, out_channels),
            nn.GELU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            nn.GroupNorm(8, out_channels),
            nn.GELU(),
        )


class DenseAttentionSegmenter(FewShotSegmenter):
    """Encoder with maps at strides 2, 4, 8, 16, 32 and the dense attention head over the last three.

    Args:
        encoder: gives the five maps and tells their ``channels``.
        width: channels of the coarse decoder.
    """

    def __init__(self, encoder: PyramidEncoder, width: int = 64) -> None:
        super().__init__()
        self.encoder = encoder
        detail, c4, c8, c16, c32 = encoder.channels
        self.match8 = LevelMatcher(c8, heads=2, key_pool=2)
        self.match16 = LevelMatcher(c16, heads=4)
        self.match32 = LevelMatcher(c32, heads=4)
        sources16 = self.match16.out_channels + self.match32.out_channels + self.match16.width + _PATCH**2
        self.mix16 = Mix(sources16, width)
        self.coarse = nn.Conv2d(width, 1, 1)
        self.mix8 = Mix(self.match8.out_channels + width + self.match8.width + 2, width)
        self.deepen8 = Mix(width, width)
        self.mix4 = Mix(width + c4, width // 2)
        self.narrow = nn.Conv2d(width // 2, detail, 1)
        self.mix2 = nn.Sequential(nn.Conv2d(detail, detail, 3, padding=1), nn.GELU(), nn.Conv2d(detail, 2, 1))

    def encode(self, images: Tensor) -> Features:
        """Encode images [B,3,H,W] in [0,1] into maps of strides 2, 4, 8, 16 and 32."""
        return self.encoder(images)

    def remember(self, support: Features, support_masks: Tensor) -> Memory:
        """Keep keys of three levels and the masks' patches under them, at strides 16 and 32."""
        keys = (self.match8.keys(support[2]), self.match16.keys(support[3]), self.match32.keys(support[4]))
        fine, coarse = (mask_patches(support_masks, level.shape[-2:]) for level in keys[1:])
        return (*keys, fine, coarse)

    def recall(self, query: Features, memory: Memory) -> Tensor:
        """Decode maps of strides 2 to 32 against a memory into logits [B,2,H,W], H and W twice the finest map's."""
        detail, f4, f8, f16, f32 = query
        keys8, keys16, keys32, fine, coarse = memory
        q8, q16, q32 = self.match8.queries(f8), self.match16.queries(f16), self.match32.queries(f32)
        m32 = resize_to(self.match32(q32, keys32, coarse), q16)
        usual = resize_to(fine.mean(1), q16)
        x16 = self.mix16(torch.cat([self.match16(q16, keys16, fine), m32, q16, usual], dim=1))
        guess = resize_to(self.coarse(x16).sigmoid(), q8)
        itself = cosine_to_prototypes(q8, q8.unsqueeze(1), guess.unsqueeze(1))
        x8 = self.mix8(torch.cat([self.match8(q8, keys8, fine), resize_to(x16, q8), q8, itself], dim=1))
        x8 = x8 + self.deepen8(x8)
        x4 = self.mix4(torch.cat([resize_to(x8, f4), f4], dim=1))
        logits = self.mix2(resize_to(self.narrow(x4), detail) + detail)
        return F.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)


def mask_patches(masks: Tensor, grid: torch.Size) -> Tensor:
    """Means of masks [B,K,H,W] over the 4 x 4 cells under each key of a grid (h,w): [B,K,16,h,w]."""
    fine = F.adaptive_avg_pool2d(masks, (grid[0] * _PATCH, grid[1] * _PATCH))
    return F.pixel_unshuffle(fine.unsqueeze(2), _PATCH)


def resize_to(maps: Tensor, like: Tensor) -> Tensor:
    """Resize maps [B,C,h,w] bilinearly to the height and width of another map."""
    return F.interpolate(maps, size=like.shape[-2:], mode="bilinear", align_corners=False)
