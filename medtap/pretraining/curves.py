"""Curves that wind, taper and divide: the geometry of vessels, nerves, cracks and wires."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from medtap.chance import uniform


@dataclass(frozen=True)
class Growth:
    """How the curves of one task run; lengths in picture sides, angles in radians.

    Attributes:
        roots: curves at the start.
        generations: how often a curve divides in two.
        width: radius of the first curves.
        taper: a child's radius over its parent's.
        length: of the first curves.
        wind: how far a curve's heading wanders along it.
        spread: angle between a child's heading and its parent's.
        bend: how strongly curves turn to the right of the picture.
    """

    roots: int
    generations: int
    width: float
    taper: float
    length: float
    wind: float
    spread: float
    bend: float = 0.0


def tree_depth(start: Tensor, heading: Tensor, growth: Growth, size: int, generator: Generator) -> Tensor:
    """Signed depth in pixels [n,S,S] inside branching curves that taper, positive within.

    Args:
        start: [n,R,2] as (y, x) in [0, 1].
        heading: [n,R] in radians.
        growth: how they run.
        size: side S in pixels.
        generator: source of chance.
    """
    n, roots = heading.shape
    radius = growth.width * uniform(0.6, 1.2, (n, roots), generator)
    length = growth.length * uniform(0.7, 1.3, (n, roots), generator)
    depth = torch.full((n, size * size), -3.0)
    for generation in range(growth.generations + 1):
        path, turn = _walk(start, heading, length, growth, size, generator)
        thick = radius[..., None] * torch.linspace(1, (1 + growth.taper) / 2, path.shape[2])
        depth = _stamp(depth, path, (thick * size).clamp(min=0.55), size)
        if generation < growth.generations:
            start, heading, radius, length = _divide(path, turn, radius, length, growth, generator)
    return depth.view(n, size, size)


def _walk(
    start: Tensor, heading: Tensor, length: Tensor, growth: Growth, size: int, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Paths [n,R,T,2] from points [n,R,2] and the headings [n,R,T] along them."""
    steps = max(6, math.ceil(1.1 * size * float(length.max())))
    knots = torch.randn((*heading.shape, 8), generator=generator)
    drift = F.interpolate(knots, steps, mode="linear", align_corners=True)
    ramp = torch.linspace(0, 1, steps)
    turn = heading[..., None] + growth.wind * (drift - drift[..., :1]) * ramp.sqrt()
    turn = turn - growth.bend * ramp * heading[..., None].sin()
    step = torch.stack([turn.sin(), turn.cos()], -1) * (length[..., None, None] / steps)
    return start[:, :, None] + step.cumsum(2), turn


def _stamp(depth: Tensor, path: Tensor, radius: Tensor, size: int) -> Tensor:
    """Raise a depth map [n,S*S] by discs of radii [n,R,T] pixels along paths [n,R,T,2]."""
    picture = torch.arange(len(depth)).view(-1, 1, 1).expand(radius.shape)
    centres = path * size - 0.5
    near = ((centres > -radius[..., None]) & (centres < size - 1 + radius[..., None])).all(-1)
    if not near.any():
        return depth
    centres, radius, picture = centres[near], radius[near], picture[near]
    reach = math.ceil(float(radius.max()))
    line = torch.arange(-reach, reach + 1)
    y, x = (centres[:, axis, None].round() + line for axis in (0, 1))
    squared = (y - centres[:, :1]).square()[:, :, None] + (x - centres[:, 1:]).square()[:, None]
    outside = ((y < 0) | (y >= size))[:, :, None] | ((x < 0) | (x >= size))[:, None]
    value = (radius[:, None, None] - squared.sqrt()).masked_fill(outside, -3.0)
    index = (y.clamp(0, size - 1) * size)[:, :, None] + x.clamp(0, size - 1)[:, None]
    index = index.long() + (picture * size * size)[:, None, None]
    return depth.flatten().scatter_reduce(0, index.flatten(), value.flatten(), "amax").view_as(depth)


def _divide(
    path: Tensor, turn: Tensor, radius: Tensor, length: Tensor, growth: Growth, generator: Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two children for each curve: one goes on at its end, one leaves it on the way."""
    n, roots, steps = turn.shape
    where = (uniform(0.25, 1.0, (n, roots), generator) * (steps - 1)).long()
    left = path.gather(2, where[..., None, None].expand(-1, -1, 1, 2))[:, :, 0]
    side = torch.randint(0, 2, (n, roots), generator=generator) * 2.0 - 1
    bend = growth.spread * uniform(0.5, 1.5, (2, n, roots), generator)
    onward, aside = turn[..., -1] - 0.4 * side * bend[0], turn.gather(2, where[..., None])[..., 0] + side * bend[1]
    shrink = growth.taper * uniform(0.8, 1.15, (n, 2 * roots), generator)
    return (
        torch.cat([path[:, :, -1], left], 1),
        torch.cat([onward, aside], 1),
        radius.repeat(1, 2) * shrink,
        length.repeat(1, 2) * uniform(0.5, 1.0, (n, 2 * roots), generator),
    )
