"""The shape of a hippocampus."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from medtap.pretraining.camera import between
from medtap.pretraining.tomography.draws import jitter


class Hippocampus(NamedTuple):
    """A tube along a bent spine of K points, cut in two; lengths in mm, axes (anterior, lateral, superior)."""

    spine: Tensor  # [n,K,3]
    radii: Tensor  # [n,K]
    flatness: float
    cut: Tensor  # [n]


def draw_hippocampus(n: int, generator: Generator) -> Hippocampus:
    """Draw the task's hippocampus and each patient's variant of it."""
    t = torch.linspace(0, 1, 18)
    length = jitter(between(26, 40, generator), 2, n, generator)[..., 0]
    return Hippocampus(
        spine=torch.cat([(length * (0.5 - t)).unsqueeze(-1), _bend(n, t, generator)], dim=-1),
        radii=_radii(n, t, generator),
        flatness=between(1.0, 1.5, generator),
        cut=length[:, 0] * (0.5 - between(0.28, 0.52, generator)) + torch.randn((n,), generator=generator),
    )


def _bend(n: int, t: Tensor, generator: Generator) -> Tensor:
    """How far lateral and superior [n,K,2] in mm the spine lies at t [K], 0 at its head and 1 at its tail.

    It bows out sideways and climbs to its tail; the head hooks to the middle.
    """
    bow = _drawn((-2, -3), (8, 5), 1.2, n, generator)
    slope = _drawn((-9, -2), (6, 22), 2, n, generator)
    hook = _drawn((-9, -4), (2, 4), 1, n, generator)
    bent = bow[:, None] * (4 * t * (1 - t) - 0.5)[:, None] + slope[:, None] * (t - 0.5)[:, None]
    return bent + hook[:, None] * torch.exp(-((t / 0.18) ** 2))[:, None]


def _drawn(low: tuple[int, int], high: tuple[int, int], spread: float, n: int, generator: Generator) -> Tensor:
    """The task's pair of values between low and high, and each patient's [n,2] around it."""
    ends = torch.tensor([low, high])
    task = ends[0] + (ends[1] - ends[0]) * torch.rand((2,), generator=generator)
    return task + spread * torch.randn((n, 2), generator=generator)


def _radii(n: int, t: Tensor, generator: Generator) -> Tensor:
    """Radii [n,K] in mm at t [K]: widest in the head, thinning out to the tail."""
    body = jitter(between(3.6, 5.4, generator), 0.4, n, generator)[..., 0].clamp(2.5)
    head = jitter(between(0.1, 0.8, generator), 0.1, n, generator)[..., 0].clamp(0)
    return body * (1 + head * torch.exp(-((t / 0.25) ** 2))) * (1 - between(0.2, 0.6, generator) * t**3)


def tube_depth(points: Tensor, organ: Hippocampus, offset: Tensor, thicker: float = 0.0) -> Tensor:
    """Depth [n,H,W] in mm inside the tube moved by an offset; points [n,3,H,W]."""
    depth = torch.full_like(points[:, 0], -1e3)
    for node, radius in zip((organ.spine + offset).unbind(1), (organ.radii + thicker).unbind(1), strict=True):
        gap = points - node[:, :, None, None]
        square = gap[:, 0] ** 2 + gap[:, 1] ** 2 + (organ.flatness * gap[:, 2]) ** 2
        radius = radius[:, None, None]
        depth = torch.maximum(depth, (radius - square / radius) / 2)
    return depth
