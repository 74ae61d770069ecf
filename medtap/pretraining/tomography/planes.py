"""Planes through a volume, and where their pixels lie in the patients."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from medtap.chance import pick, uniform
from medtap.pretraining.camera import between, chance
from medtap.pretraining.tomography.pose import pose

_LONG_PLANES = ((0, 1, 2), (1, 0, 2), (0, 2, 1), (2, 0, 1))
_PLANES = (*_LONG_PLANES, *_LONG_PLANES, (1, 2, 0), (2, 1, 0))


class View(NamedTuple):
    """Where the pixels of n patients' slices lie, in mm: axes of rows, columns and across the plane, and signs."""

    axes: tuple[int, int, int]
    posed: Tensor  # [n,2,H,W] without the smooth deformation
    warped: Tensor  # [n,2,H,W]
    signs: Tensor  # [n,3] 1 or -1

    def at(self, level: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Every step-th point [n,3,H,W] of the slices at levels [n], and how far anterior it is if not deformed."""
        in_plane = self.axes[:2]
        posed, warped = self.posed[..., ::step, ::step], self.warped[..., ::step, ::step]
        points = level.view(-1, 1, 1, 1).repeat(1, 3, *posed.shape[2:])
        straight = points.clone()
        points[:, in_plane], straight[:, in_plane] = warped, posed
        signs = self.signs[..., None, None]
        return points * signs, (straight * signs)[:, 0]


def draw_view(n: int, finer: int, generator: Generator) -> View:
    """Draw a plane and the n patients' poses in it, so many times finer than scanners see; some mix left and right."""
    axes = _PLANES[pick(0, len(_PLANES) - 1, generator)]
    extent = uniform(15, 22, (2,), generator) + torch.tensor([8.0 * (axis == 0) for axis in axes[:2]])
    height, width = (finer * round(side) for side in (2 * extent / between(0.75, 1.15, generator)).tolist())
    posed, warped = pose(n, (height, width), extent, between(0.15, 1.3, generator), generator)
    signs = uniform(-1, 1, (1, 3), generator).sign().repeat(n, 1)
    if chance(0.3, generator):
        signs[:, 1] = uniform(-1, 1, (n,), generator).sign()
    return View(axes, posed, warped, signs)
