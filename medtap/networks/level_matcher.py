"""Matching of a query with a support set at one level of a pyramid, by attention and by prototypes.

Maps are [B,h,w,C] here, one token a pixel, which is how ConvNeXt's maps lie in memory.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PATCH = 4  # a key's value is the mask under it as PATCH x PATCH means
_WAVES = (0.25, 0.5, 1.0, 2.0)  # waves across the picture by which a place is told
_LEAST = 1e-12  # norm, as of F.normalize


class LevelMatcher(nn.Module):
    """Matches the query with the support set at one level of the pyramid.

    Args:
        channels: channels of the level's feature map.
        heads: attention heads, each with its own temperature. A head has as many channels as a mask patch, so that
            torch's fused attention serves.
        key_pool: factor by which keys are coarser than queries.
        spare: channels of queries and keys that prototypes alone see, for attention costs far more.

    Attributes:
        attended: channels of queries and keys that attention sees, the first ones.
        width: channels of queries and keys.
        out_channels: of what ``forward`` gives.
    """

    def __init__(self, channels: int, heads: int, key_pool: int = 1, spare: int = 0) -> None:
        super().__init__()
        self.heads, self.key_pool = heads, key_pool
        self.attended = heads * PATCH**2
        self.width = self.attended + spare
        self.project = nn.Conv2d(channels, self.width, 1)
        self.place = nn.Conv2d(4 * len(_WAVES), self.width, 1, bias=False)
        nn.init.zeros_(self.place.weight)
        self.temperature = nn.Parameter(torch.linspace(1.5, 3.5, heads))
        self.out_channels = self.attended + 2

    def queries(self, features: Tensor) -> Tensor:
        """Project features [B,C,h,w] and their places to [B,h,w,width], channels side by side for fused attention."""
        return tokens_of(features, self.project.weight, self.project.bias) + self._places(*features.shape[-2:])

    def _places(self, height: int, width: int) -> Tensor:
        """What each place in a picture adds, [h,w,width]: what its row adds and what its column adds."""
        of_rows, of_columns = self.place.weight.unflatten(1, (-1, 2)).flatten(2).unbind(2)
        waves = _waves(height, of_rows)
        rows, columns = F.linear(waves, of_rows), waves if width == height else _waves(width, of_columns)
        return rows.unsqueeze(1) + F.linear(columns, of_columns)

    def keys(self, features: Tensor) -> Tensor:
        """Project support features [B,K,C,h,w] to keys [B,K,h',w',width]."""
        keys = self.queries(features.flatten(0, 1))
        if self.key_pool > 1:
            keys = F.avg_pool2d(keys.permute(0, 3, 1, 2), self.key_pool).permute(0, 2, 3, 1)
        return keys.unflatten(0, features.shape[:2])

    def remember(self, keys: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """What matching needs of keys [B,K,h,w,width] with mask patches [B,K,16,h,w], each shot on its own.

        Returns:
            The keys of each head at length 1 [B,K,heads,h*w,16], and sums of the keys of background and object
            [B,K,2,width].
        """
        tokens = keys.flatten(2, 3)
        units = self._units(tokens).transpose(2, 3).contiguous()
        return units, sums_by_mask(tokens, patches.mean(2).flatten(2))

    def forward(self, query: Tensor, units: Tensor, sums: Tensor, patches: Tensor) -> Tensor:
        """Match projected queries [B,h,w,width] with what ``remember`` gave and the keys' mask patches [B,K,16,h',w'].

        Returns:
            [B,h,w,heads*16+2]: attended mask patches, then cosines to background and foreground prototypes.
        """
        return torch.cat([self._attend(query, units, patches), cosines(query, sums.sum(1))], dim=3)

    def _attend(self, query: Tensor, units: Tensor, patches: Tensor) -> Tensor:
        q = self._units(query) * self.temperature.exp().view(-1, 1)
        k = units.transpose(1, 2).flatten(2, 3)
        v = patches.flatten(3).transpose(2, 3).flatten(1, 2).unsqueeze(1).expand(-1, self.heads, -1, -1)
        attended = F.scaled_dot_product_attention(q.flatten(1, 2).transpose(1, 2), k, v, scale=1.0)
        return attended.transpose(1, 2).flatten(2).unflatten(1, query.shape[1:3])

    def _units(self, tokens: Tensor) -> Tensor:
        """Tokens [B,n,m,width] of each head at length 1: [B,n,m,heads,16]."""
        return F.normalize(tokens[..., : self.attended].unflatten(3, (self.heads, -1)), dim=-1)


def tokens_of(maps: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A 1x1 convolution of maps [B,C,h,w] into tokens [B,h,w,C']: a linear layer, sooner done where tokens lie so."""
    return F.linear(maps.permute(0, 2, 3, 1), weight.flatten(1), bias)


def _waves(side: int, like: Tensor) -> Tensor:
    """Sines and cosines [side,8] of the places along a side, the same for the same place at any resolution."""
    places = (torch.arange(side, device=like.device) + 0.5) / side
    phases = 2 * torch.pi * places.unsqueeze(1) * places.new_tensor(_WAVES)
    return torch.cat([phases.sin(), phases.cos()], dim=1).to(like.dtype)


def sums_by_mask(tokens: Tensor, foreground: Tensor) -> Tensor:
    """Sums [...,2,C] of tokens [...,n,C] outside and inside of a soft mask [...,n] in [0,1]."""
    return torch.stack([1 - foreground, foreground], dim=-2).to(tokens.dtype) @ tokens


def cosines(query: Tensor, sums: Tensor) -> Tensor:
    """Cosines [B,h,w,2] of queries [B,h,w,C] to prototypes of background and object (PANet, Wang et al., ICCV 2019).

    Args:
        query: maps.
        sums: of keys [B,2,C], as ``sums_by_mask`` gives them, whose direction is that of their mean, the prototype.
    """
    prototypes = F.normalize(sums, dim=-1)
    flat = query.flatten(1, 2)
    found = flat @ prototypes.transpose(1, 2) / torch.linalg.vector_norm(flat, dim=-1, keepdim=True).clamp_min(_LEAST)
    return found.unflatten(1, query.shape[1:3])


def mask_patches(masks: Tensor, grid: torch.Size) -> Tensor:
    """Means of masks [B,K,H,W] over the 4 x 4 cells under each key of a grid (h,w): [B,K,16,h,w]."""
    fine = F.adaptive_avg_pool2d(masks, (grid[0] * PATCH, grid[1] * PATCH))
    return F.pixel_unshuffle(fine.unsqueeze(2), PATCH)
