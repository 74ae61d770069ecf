"""A scene of cells under a microscope: it gives n pictures, before a device has taken them, and their masks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from medtap.chance import pick, smooth_noise, uniform
from medtap.pretraining.camera import between, ground
from medtap.pretraining.scenes import coordinates
from medtap.pretraining.synthetic import Task

_MOST_OBJECTS = 60


@dataclass(frozen=True)
class Stain:
    """How cells look under one microscope; colours in [0,1], the others in the same units of light.

    Attributes:
        ground: colour between the cells.
        bodies: colours of the two kinds of cells.
        rim: light added at the outline of a cell, negative for a dark membrane.
        core: light added in the middle of a cell.
        halo: light added around a cell.
        grain: texture within a cell.
        stroma: texture between the cells.
    """

    ground: tuple[float, float, float]
    bodies: tuple[tuple[float, float, float], tuple[float, float, float]]
    rim: float = 0.0
    core: float = 0.0
    halo: float = 0.0
    grain: float = 0.08
    stroma: float = 0.06


STAINS = (
    Stain((0.88, 0.66, 0.78), ((0.38, 0.22, 0.5), (0.62, 0.42, 0.66)), rim=-0.06, grain=0.12, stroma=0.1),
    Stain((0.93, 0.88, 0.9), ((0.4, 0.3, 0.6), (0.55, 0.35, 0.2)), grain=0.1, stroma=0.06),
    Stain((0.04, 0.04, 0.05), ((0.2, 0.3, 0.8), (0.15, 0.6, 0.25)), halo=0.06, grain=0.15, stroma=0.03),
    Stain((0.06, 0.06, 0.06), ((0.65, 0.65, 0.65), (0.3, 0.3, 0.3)), halo=0.08, grain=0.12, stroma=0.03),
    Stain((0.5, 0.5, 0.5), ((0.46, 0.46, 0.46), (0.58, 0.58, 0.58)), rim=-0.16, halo=0.22, grain=0.08, stroma=0.04),
    Stain((0.6, 0.6, 0.58), ((0.64, 0.64, 0.6), (0.52, 0.52, 0.5)), rim=-0.25, core=0.08, grain=0.05, stroma=0.03),
    Stain((0.94, 0.88, 0.84), ((0.8, 0.48, 0.5), (0.42, 0.28, 0.58)), rim=-0.06, core=0.14, grain=0.04, stroma=0.02),
    Stain((0.72, 0.6, 0.42), ((0.92, 0.88, 0.74), (0.6, 0.3, 0.2)), rim=-0.12, core=0.06, halo=-0.05, grain=0.04),
    Stain((0.3, 0.3, 0.3), ((0.22, 0.22, 0.22), (0.5, 0.5, 0.5)), rim=0.12, grain=0.14, stroma=0.14),
)


@dataclass(frozen=True)
class Cells:
    """Where cells lie.

    Attributes:
        depth: in radii [n,S,S], positive within.
        owner: the cell that a pixel is nearest to [n,S,S].
        seam: how much farther the next cell is, in radii [n,S,S].
    """

    depth: Tensor
    owner: Tensor
    seam: Tensor


def cells(n: int, size: int, generator: Generator) -> Task:
    """Cells, nuclei and colonies of two kinds, few or many, apart or touching; one kind, or both, is the target.

    Imitates haematoxylin and eosin, immunohistochemistry, fluorescence, phase contrast, blood smears, agar plates and
    electron microscopy; in some tasks the colours are random.
    """
    count, radius = _crowd(generator)
    kinds = (torch.rand((n, count), generator=generator) < between(0.0, 0.7, generator)).long()
    kinds[:, : max(1, count // 4)] = 0
    ratio = between(0.5, 1.8, generator) if pick(0, 1, generator) else 1.0
    sizes = radius * torch.where(kinds == 1, ratio, 1.0) * uniform(0.7, 1.35, (n, count), generator)
    layout = _lay_out(sizes, kinds, size, generator)
    stain = STAINS[pick(0, len(STAINS) - 1, generator)]
    kind = kinds.gather(1, layout.owner.flatten(1)).view_as(layout.owner)
    masks = layout.depth > 0
    if pick(0, 3, generator):
        masks = masks & (kind == 0)
    return _stained(layout, kind, stain, count, generator), masks.float()


def _crowd(generator: Generator) -> tuple[int, float]:
    """How many cells, and their radius with the picture's half side as 1."""
    radius = 0.035 * 2 ** between(0, 2.8, generator)
    cover = between(0.06, 0.65, generator)
    return max(2, min(_MOST_OBJECTS, round(cover * 4 / (math.pi * radius**2)))), radius


def _lay_out(sizes: Tensor, kinds: Tensor, size: int, generator: Generator) -> Cells:
    """Place cells of radii [n,N] at random, in heaps in some tasks, and find the nearest one to each pixel."""
    n, count = sizes.shape
    centres = uniform(-1, 1, (n, count, 2), generator)
    if pick(0, 2, generator) == 0:
        heaps = uniform(-0.7, 0.7, (n, 3, 2), generator)
        heap = heaps.gather(1, torch.randint(0, 3, (n, count, 1), generator=generator).expand(-1, -1, 2))
        centres = heap + 0.35 * torch.randn((n, count, 2), generator=generator)
    centres[:, 0] = uniform(-0.7, 0.7, (n, 2), generator)
    long = uniform(1.0, 1.0 + between(0.1, 0.9, generator), (n, count), generator)
    long = long * torch.where(kinds == 1, between(1.0, 1.6, generator), 1.0)
    turn = uniform(0, math.pi, (n, count), generator)
    warp = smooth_noise((n, 2), size, pick(6, 16, generator), generator)
    place = coordinates(size) + between(0, 0.22, generator) * sizes.mean() * warp
    squared = _elliptic_distance(place, centres, sizes * long.sqrt(), sizes / long.sqrt(), turn)
    nearest, owner = squared.min(1)
    second = squared.scatter_(1, owner[:, None], torch.inf).amin(1)
    return Cells(1 - nearest.clamp(min=0).sqrt(), owner, second.clamp(min=0).sqrt() - nearest.clamp(min=0).sqrt())


def _elliptic_distance(place: Tensor, centres: Tensor, long: Tensor, short: Tensor, turn: Tensor) -> Tensor:
    """Squared distances [n,N,S,S] of places [n,2,S,S] to ellipses, 1 on their outline, as one matrix product."""
    y, x = place[:, 0], place[:, 1]
    features = torch.stack([y * y, x * x, x * y, y, x, torch.ones_like(x)], 1).flatten(2)
    cos, sin = turn.cos(), turn.sin()
    a, b = cos**2 / long**2 + sin**2 / short**2, sin**2 / long**2 + cos**2 / short**2
    c = 2 * cos * sin * (1 / long**2 - 1 / short**2)
    v, u = centres.unbind(-1)
    weights = [a, b, c, -2 * a * v - c * u, -2 * b * u - c * v, a * v * v + b * u * u + c * u * v]
    return torch.bmm(torch.stack(weights, 2), features).view(*turn.shape, *place.shape[2:])


def _stained(layout: Cells, kind: Tensor, stain: Stain, count: int, generator: Generator) -> Tensor:
    """Light [n,3,S,S] of cells whose kinds are [n,S,S]."""
    n, size = kind.shape[0], kind.shape[-1]
    colours = torch.tensor([stain.ground, *stain.bodies]) + 0.05 * torch.randn((3, 3), generator=generator)
    if pick(0, 5, generator) == 0:
        colours = uniform(0.05, 0.95, (3, 3), generator)
    alike = between(0, 1, generator)
    colours[2] = torch.lerp(colours[1], colours[2], alike)
    sharpness = between(4, 25, generator)
    inside = (layout.depth * sharpness).sigmoid()
    own = 0.08 * torch.randn((n, count), generator=generator)
    body = colours[1:][kind].permute(0, 3, 1, 2) + own.gather(1, layout.owner.flatten(1)).view_as(kind)[:, None]
    body = (
        body + stain.grain * ground(n, size, generator, 0.3) + stain.core * (2 * layout.depth[:, None] - 1).clamp(0, 1)
    )
    gaps = colours[0].view(1, 3, 1, 1) + stain.stroma * _stroma(n, size, generator)
    images = torch.lerp(gaps, body, inside[:, None])
    outline = torch.exp(-((layout.depth / 0.12) ** 2)) + torch.exp(-((layout.seam / 0.1) ** 2)) * inside
    glow = torch.exp(-layout.depth.abs() / 0.35) * (1 - inside)
    return images + stain.rim * outline.clamp(max=1)[:, None] + stain.halo * glow[:, None]


def _stroma(n: int, size: int, generator: Generator) -> Tensor:
    """Texture [n,3,S,S] of what lies between cells, of several tones and in some tasks fibrous."""
    tones = ground(n, size, generator, between(0.3, 1.2, generator))
    if pick(0, 1, generator):
        tones = tones + (4 * ground(n, size, generator)).sin()
    return tones * uniform(0.4, 1.2, (1, 3, 1, 1), generator)
