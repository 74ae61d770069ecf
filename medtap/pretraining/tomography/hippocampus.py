"""A hippocampus and the tissues around it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from medtap.pretraining.camera import between
from medtap.pretraining.scenes import uniform
from medtap.pretraining.tomography.draws import jitter

WHITE, GREY, CSF, HEAD, TAIL, HORN, AMYGDALA, CORTEX, STEM = range(9)


class Hippocampus(NamedTuple):
    """A tube along a bent spine of K points, cut in two; lengths in mm, axes (anterior, lateral, superior)."""

    spine: Tensor  # [n,K,3]
    radii: Tensor  # [n,K]
    flatness: float
    cut: Tensor  # [n]
    horn: Tensor  # [3] from the structure's axis to the temporal horn's
    cortex: Tensor  # [3] to the parahippocampal cortex's
    amygdala: Tensor  # [n,6] centre and radii
    cistern: float
    sulcus: float  # widths of sulci and cortex in units of the folds' depth
    ribbon: float


def draw_hippocampus(n: int, generator: Generator) -> Hippocampus:
    """Draw the task's hippocampus and each patient's variant of it."""
    t = torch.linspace(0, 1, 18)
    length = jitter(between(26, 40, generator), 2, n, generator)[..., 0]
    spine = torch.cat([(length * (0.5 - t)).unsqueeze(-1), _bend(n, t, generator)], dim=-1)
    radii = _radii(n, t, generator)
    side = torch.tensor([0.0, between(0.3, 1, generator), between(0, 1, generator)])
    side = side / side.norm()
    centre = spine[:, 0] + torch.tensor([2.0, -4, 3]) + uniform(0, 1, (n, 3), generator) * torch.tensor([5.0, 6, 6])
    return Hippocampus(
        spine=spine,
        radii=radii,
        flatness=between(1.0, 1.5, generator),
        cut=length[:, 0] * (0.5 - between(0.28, 0.52, generator)) + torch.randn((n,), generator=generator),
        horn=side * between(1, 4.5, generator),
        cortex=-side * between(4, 8, generator),
        amygdala=torch.cat([centre, uniform(5, 9, (n, 3), generator)], 1),
        cistern=between(9, 18, generator),
        sulcus=between(0.02, 0.12, generator),
        ribbon=between(0.3, 0.9, generator),
    )


def _bend(n: int, t: Tensor, generator: Generator) -> Tensor:
    """How far lateral and superior [n,K,2] in mm the spine lies at t [K], 0 at its head and 1 at its tail."""
    bow = uniform(-6, 6, (2,), generator) + 1.2 * torch.randn((n, 2), generator=generator)
    slope = uniform(-10, 10, (2,), generator) + 2 * torch.randn((n, 2), generator=generator)
    hook = uniform(-5, 5, (2,), generator) + torch.randn((n, 2), generator=generator)
    bent = bow[:, None] * (4 * t * (1 - t) - 0.5)[:, None] + slope[:, None] * (t - 0.5)[:, None]
    return bent + hook[:, None] * torch.exp(-((t / 0.18) ** 2))[:, None]


def _radii(n: int, t: Tensor, generator: Generator) -> Tensor:
    """Radii [n,K] in mm at t [K]: widest in the head, thinning out to the tail."""
    body = jitter(between(3.8, 5.6, generator), 0.4, n, generator)[..., 0].clamp(2.5)
    head = jitter(between(0.2, 0.9, generator), 0.1, n, generator)[..., 0].clamp(0)
    return body * (1 + head * torch.exp(-((t / 0.25) ** 2))) * (1 - between(0.2, 0.6, generator) * t**3)


def brain_labels(points: Tensor, cutting: Tensor, organ: Hippocampus, folds: Tensor) -> Tensor:
    """Tissue labels [n,H,W] of points [n,3,H,W] in mm; cutting [n,H,W] is how far anterior a point is, undeformed."""
    grid = points[:, :2].permute(0, 2, 3, 1) + 0.7 * points[:, 2, ..., None]
    sulcus = F.grid_sample(folds, grid / 60, "bilinear", "reflection", align_corners=False)[:, 0].abs()
    labels = (sulcus < organ.ribbon).long() * GREY
    labels[sulcus < organ.sulcus] = CSF
    medial = -points[:, 1] - organ.cistern + 2 * sulcus
    labels[medial > 0] = CSF
    labels[medial > 4] = STEM
    labels[tube_depth(points, organ, organ.cortex) > 0] = CORTEX
    labels[tube_depth(points, organ, organ.cortex * 0.2, 0.7) > 0] = WHITE
    ball = (points - organ.amygdala[:, :3, None, None]) / organ.amygdala[:, 3:, None, None]
    labels[ball.square().sum(1) < 1] = AMYGDALA
    labels[tube_depth(points, organ, organ.horn) > 0] = HORN
    inside = tube_depth(points, organ, torch.zeros(3)) > 0
    anterior = cutting > organ.cut[:, None, None]
    labels[inside & anterior] = HEAD
    labels[inside & ~anterior] = TAIL
    return labels


def tube_depth(points: Tensor, organ: Hippocampus, offset: Tensor, thicker: float = 0.0) -> Tensor:
    """Depth [n,H,W] in mm inside the tube moved by an offset; points [n,3,H,W]."""
    depth = torch.full_like(points[:, 0], -1e3)
    for node, radius in zip((organ.spine + offset).unbind(1), (organ.radii + thicker).unbind(1), strict=True):
        gap = points - node[:, :, None, None]
        square = gap[:, 0] ** 2 + gap[:, 1] ** 2 + (organ.flatness * gap[:, 2]) ** 2
        radius = radius[:, None, None]
        depth = torch.maximum(depth, (radius - square / radius) / 2)
    return depth
