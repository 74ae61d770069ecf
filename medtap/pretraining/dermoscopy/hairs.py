"""Hairs over the skin."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from medtap.chance import uniform
from medtap.pretraining.cohort import Cohort
from medtap.pretraining.dermoscopy.layer import Layer, colour_near
from medtap.pretraining.strokes import draw_points

_HAIRS = [[0.12, 0.08, 0.07], [0.12, 0.08, 0.07], [0.32, 0.20, 0.13], [0.80, 0.72, 0.60]]


def draw_hairs(cohort: Cohort, always: bool) -> Layer:
    """Hairs, thin or thick, few or many, roughly one way."""
    shown = torch.ones(cohort.n, 1, 1) if always else cohort.shown(0.5) * cohort.free(0, 1).round()
    count = round(2 ** cohort.between(3 if always else 0, 5))
    thickness = cohort.between(1.5, 3.5) if always else 0.5 + 2.5 * cohort.between(0, 1) ** 2
    strokes = _strokes(count, thickness, cohort) if bool(shown.any()) else torch.zeros(1, cohort.size, cohort.size)
    return shown * cohort.free(0.5, 0.95) * strokes, colour_near(_HAIRS, 0.08, cohort)


def _strokes(count: int, thickness: float, cohort: Cohort) -> Tensor:
    """Curved lines [n,S,S] in [0,1], drawn at twice the resolution; thickness in pixels of a 256 px picture."""
    n, size, generator = cohort.n, 2 * cohort.size, cohort.generator
    way = cohort.free(0, 6.3)[..., None] + cohort.between(0.1, 1.0) * torch.randn((n, count, 1, 1), generator=generator)
    reach = uniform(0.1, 0.8, (n, count, 1, 1), generator) * torch.cat([way.sin(), way.cos()], dim=3)
    bend = cohort.between(0.02, 0.5) * torch.randn((n, count, 1, 1), generator=generator)
    t = torch.linspace(-1, 1, size).view(1, 1, -1, 1)
    across = reach.flip(3) * torch.tensor([1.0, -1.0])
    points = uniform(-0.2, 1.2, (n, count, 1, 2), generator) + t * reach + bend * (1 - t**2) * across
    inside = ((points >= 0) & (points < 1)).all(3)
    canvas = draw_points(points[..., 0], points[..., 1], inside.float(), size)
    grown = max(1, round(thickness * size / 512))
    return F.avg_pool2d(F.max_pool2d(canvas, 2 * grown + 1, 1, grown), 2)[:, 0]
