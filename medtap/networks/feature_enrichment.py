"""PFENet's feature enrichment module: query, prototype and prior mask, merged at several scales."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medtap.networks.mask_classifier import ResidualPair
from medtap.networks.prior_guidance import pointwise
from medtap.networks.resampling import adaptive_mean, resize_aligned


class FeatureEnrichment(nn.Module):
    """Merges what is known at each scale, handing it down from fine to coarse (Tian et al., TPAMI 2020).

    The classifiers that each scale has in training are left out: they take no part in the prediction.

    Args:
        width: channels of the query's maps and of the prototype.
        bins: sides of the square grids, fine to coarse.
    """

    def __init__(self, width: int, bins: Sequence[int]) -> None:
        super().__init__()
        self.bins = tuple(bins)
        self.merge = nn.ModuleList(pointwise(2 * width + 1, width) for _ in bins)
        self.hand_down = nn.ModuleList(pointwise(2 * width, width) for _ in bins[1:])
        self.refine = nn.ModuleList(ResidualPair(width) for _ in bins)

    def forward(self, query: Tensor, prototypes: Tensor, priors: Tensor) -> Tensor:
        """Enrich the maps of a query.

        Args:
            query: [B,C,h,w].
            prototypes: [B,C,1,1].
            priors: [B,1,h,w].

        Returns:
            Maps of every scale [B,L*C,h,w], for L scales.
        """
        enriched: list[Tensor] = []
        for level, side in enumerate(self.bins):
            grid = (side, side)
            known = adaptive_mean(query, grid), prototypes.expand(-1, -1, *grid), resize_aligned(priors, grid)
            merged = self.merge[level](torch.cat(known, dim=1))
            if enriched:
                finer = resize_aligned(enriched[-1], grid)
                merged = merged + self.hand_down[level - 1](torch.cat([merged, finer], dim=1))
            enriched.append(resize_aligned(self.refine[level](merged), query.shape[-2:]))
        return torch.cat(enriched, dim=1)
