"""Maps on another grid: bilinear with aligned corners, and means over the cells of a coarser grid."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def resize_aligned(maps: Tensor, grid: Sequence[int]) -> Tensor:
    """Resize maps [B,C,h,w] bilinearly with aligned corners, where they are not of that grid already."""
    if tuple(maps.shape[-2:]) == tuple(grid):
        return maps
    return F.interpolate(maps, size=tuple(grid), mode="bilinear", align_corners=True)


def adaptive_mean(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Average maps [B,C,h,w] over the cells of a grid, as torch's adaptive average pooling does.

    As two matrix products: ONNX has no adaptive pooling for a side that is no multiple of the number of cells.
    """
    rows, columns = (_cells(given, cells, maps) for given, cells in zip(maps.shape[-2:], grid, strict=True))
    return rows @ maps @ columns.T


def _cells(given: int, cells: int, like: Tensor) -> Tensor:
    """Weights [cells,given] of the places that each cell touches, which sum to 1."""
    edges = torch.arange(cells + 1, device=like.device) * given
    starts, ends = edges[:-1] // cells, (edges[1:] + cells - 1) // cells
    places = torch.arange(given, device=like.device)
    touched = (places >= starts.unsqueeze(1)) & (places < ends.unsqueeze(1))
    return touched.to(like.dtype) / (ends - starts).unsqueeze(1)
