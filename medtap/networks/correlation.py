"""Correlation maps of query and support features, the input of HSNet's head (Min et al., ICCV 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

_EPS = 1e-5


def resize_masks(masks: Tensor, grid: torch.Size) -> Tensor:
    """Resize masks [B,K,H,W] bilinearly, corners aligned, to a grid (h,w): [B,K,1,h,w]."""
    return F.interpolate(masks, size=grid, mode="bilinear", align_corners=True).unsqueeze(2)


def unit(features: Tensor) -> Tensor:
    """Divide features [...,C,h,w] by their length over the channels; features of length 0 stay 0."""
    return features / (features.norm(dim=-3, keepdim=True) + _EPS)


def correlate(query: Tensor, support: Tensor) -> Tensor:
    """Products of query features [P,C,h,w] with support features [P,C,h',w'], negative ones 0: [P,h,w,h',w']."""
    products = query.flatten(2).transpose(1, 2) @ support.flatten(2)
    return products.relu().unflatten(2, support.shape[-2:]).unflatten(1, query.shape[-2:])


def hypercorrelations(query: Sequence[Tensor], support: Sequence[Tensor], depths: Sequence[int]) -> list[Tensor]:
    """Correlate maps block by block and stack what has one resolution.

    Args:
        query: maps [P,C,h,w], fine to coarse.
        support: as many maps [P,C,h',w'].
        depths: how many maps each stage of the encoder gives.

    Returns:
        A 4D tensor with a channel a block for each stage, [P,L,h,w,h',w'], fine to coarse.
    """
    maps = [correlate(*pair) for pair in zip(query, support, strict=True)]
    ends = [sum(depths[: stage + 1]) for stage in range(len(depths))]
    return [torch.stack(maps[end - depth : end], dim=1) for depth, end in zip(depths, ends, strict=True)]
