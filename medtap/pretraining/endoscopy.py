"""A scene of polyps in the bowel: it gives n pictures, before a device has taken them, and their masks."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from medtap.chance import pick, uniform
from medtap.pretraining.appearance import blur
from medtap.pretraining.camera import between, field_of_view, ground
from medtap.pretraining.curves import Growth, tree_depth
from medtap.pretraining.scenes import blob_depth
from medtap.pretraining.synthetic import Task

MUCOSA = ((0.82, 0.46, 0.38), (0.85, 0.55, 0.5), (0.75, 0.38, 0.25), (0.9, 0.6, 0.42), (0.5, 0.55, 0.45))
"""Colours of mucosa: four of white light, one of narrow-band imaging."""


def polyps(n: int, size: int, generator: Generator) -> Task:
    """Draw a polyp on wet, folded mucosa with fine vessels, highlights and a dark lumen: images and masks [n,S,S]."""
    radii = uniform(0.15, 0.6, (n, 1), generator) * uniform(0.75, 1.3, (n, 2), generator)
    centres = uniform(-0.55, 0.55, (n, 2), generator)
    depth = blob_depth(centres, radii, between(0.05, 0.35, generator), size, generator)
    inside = (depth * between(4, 30, generator)).sigmoid()[:, None]
    facing = _facing(depth, generator)
    images = _veined(_coloured(inside, generator), inside, generator) * (0.35 + 0.65 * facing)
    images = images * (1 - _lumen(n, size, generator) * (1 - inside))
    wet = facing**60 * (5 * (ground(n, size, generator, 0.4) - between(0.3, 1.3, generator))).sigmoid()
    images = torch.lerp(images, torch.ones(1), 0.9 * wet)
    field = field_of_view(n, size, generator) if pick(0, 1, generator) else torch.ones(n, 1, size, size)
    return images * field, ((depth > 0) & (field[:, 0] > 0)).float()


def _coloured(inside: Tensor, generator: Generator) -> Tensor:
    """Mucosa [n,3,S,S] that is brighter or darker, and of another hue, where there is a polyp [n,1,S,S]."""
    base = torch.tensor(MUCOSA[pick(0, len(MUCOSA) - 1, generator)]) * uniform(0.85, 1.15, (3,), generator)
    hue = between(0, 0.1, generator) * torch.randn(3, generator=generator)
    change = between(-0.25, 0.25, generator) + hue
    blotches = 0.1 * ground(len(inside), inside.shape[-1], generator)
    return base.view(1, 3, 1, 1) * (1 + blotches) * (1 + change.view(1, 3, 1, 1) * inside)


def _facing(depth: Tensor, generator: Generator) -> Tensor:
    """How far the surface [n,S,S] faces the lamp [n,1,S,S], from 0 to 1: domes over polyps, folds and fine relief."""
    n, size = len(depth), depth.shape[-1]
    dome = blur(depth[:, None], 0.02 * size)[:, 0].clamp(min=0) ** between(0.5, 1.3, generator)
    folds = (3 * ground(n, size, generator, 1.6)[:, 0]).sin().abs()
    relief = dome * between(0.05, 0.4, generator) + folds * between(0, 0.12, generator)
    relief = relief + 0.012 * ground(n, size, generator, 0.6)[:, 0]
    slope = torch.stack(torch.gradient(relief, spacing=2 / size, dim=(1, 2)), 1)
    normals = F.normalize(torch.cat([-slope, torch.ones(n, 1, size, size)], 1), dim=1)
    lamp = F.normalize(torch.cat([uniform(-0.5, 0.5, (n, 2), generator), torch.ones(n, 1)], 1), dim=1)
    return torch.einsum("ncyx,nc->nyx", normals, lamp).clamp(min=0)[:, None]


def _lumen(n: int, size: int, generator: Generator) -> Tensor:
    """Where the bowel leads away from the lamp [n,1,S,S], from 0 to 1; in some tasks nowhere."""
    radii = uniform(0.2, 0.6, (n, 2), generator)
    depth = blob_depth(uniform(-1, 1, (n, 2), generator), radii, 0.3, size, generator)
    return (between(1.5, 5, generator) * depth).sigmoid()[:, None] * max(0.0, between(-0.6, 0.95, generator))


def _veined(images: Tensor, inside: Tensor, generator: Generator) -> Tensor:
    """Fine vessels of the mucosa [n,3,S,S], fainter on a polyp [n,1,S,S]."""
    n, size = len(images), images.shape[-1]
    growth = Growth(pick(1, 4, generator), 2, 0.004, 0.8, 0.4, 0.8, 0.7)
    start = uniform(0, 1, (n, growth.roots, 2), generator)
    depth = tree_depth(start, uniform(0, 2 * math.pi, (n, growth.roots), generator), growth, size, generator)
    cover = (depth + 0.5).clamp(0, 1)[:, None] * (1 - 0.6 * inside) * between(0, 0.6, generator)
    return images * (1 - cover * torch.tensor([0.25, 0.6, 0.5]).view(1, 3, 1, 1))
