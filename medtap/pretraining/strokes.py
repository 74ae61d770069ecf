"""Lines drawn as dense points: hairs, vessels, wires."""

from __future__ import annotations

import torch
from torch import Tensor


def draw_points(y: Tensor, x: Tensor, weight: Tensor, size: int) -> Tensor:
    """Canvas [n,1,S,S] of the largest weight of the points in each pixel, 0 where there is none.

    Args:
        y: [n,...] in picture heights; points outside [0, 1) count for the nearest pixel of the rim.
        x: [n,...] in picture widths.
        weight: broadcastable to [n,...], not negative.
        size: side S in pixels.
    """
    row, column = ((line * size).long().clamp(0, size - 1) for line in (y, x))
    canvas = torch.zeros((len(y), size * size))
    canvas.scatter_reduce_(1, (row * size + column).flatten(1), weight.expand_as(x).flatten(1), "amax")
    return canvas.view(-1, 1, size, size)
