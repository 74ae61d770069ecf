"""Thin lines that lie in a patient and move with the frame."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from medtap.pretraining.radiograph.frame import Frame
from medtap.pretraining.strokes import draw_points


def strokes(x: Tensor, y: Tensor, weight: Tensor, frame: Frame) -> Tensor:
    """Thin lines [n,S,S] through points [n,lines,points] in a patient's units, in [0,1] by weight."""
    size = frame.x.shape[-1]
    canvas = draw_points((y / 1.1 + 1) / 2, (x / 1.1 + 1) / 2, weight, size)
    canvas = F.max_pool2d(canvas, size // 160 * 2 + 1, 1, size // 160)
    canvas = F.avg_pool2d(canvas, 3, 1, 1)
    grid = torch.stack([frame.x, frame.y], dim=-1) / 1.1
    return F.grid_sample(canvas, grid, "bilinear", "zeros", align_corners=False)[:, 0]
