"""The tissues around a hippocampus: cortex and horn beside it, and the large structures towards the middle."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from medtap.chance import pick, smooth_noise, uniform
from medtap.pretraining.camera import between, chance
from medtap.pretraining.tomography.hippocampus import Hippocampus, tube_depth


class Label(IntEnum):
    """Tissues and parts that a slice shows."""

    WHITE = 0
    GREY = 1
    CSF = 2
    HEAD = 3
    TAIL = 4
    HORN = 5
    AMYGDALA = 6
    CORTEX = 7
    STEM = 8
    THALAMUS = 9
    STRIATUM = 10


_WHERE = {  # least and largest centre and half axes in mm (anterior, lateral, superior)
    "cerebellum": ((-40, -24, -20, 14, 18, 9), (-26, -6, -6, 22, 26, 14)),
    "midbrain": ((-5, -28, -8, 11, 10, 12), (5, -18, 4, 16, 14, 20)),
    "thalamus": ((-9, -21, 10, 12, 8, 8), (3, -8, 20, 19, 14, 13)),
    "striatum": ((8, -4, 9, 10, 3, 6), (20, 8, 18, 18, 7, 11)),
    "amygdala": ((0, -7, 2, 5, 5, 5), (7, 2, 9, 9, 9, 9)),  # from the tip of the hippocampus
}
_LEFT_OUT, _AWAY = 0.15, 1e3  # what is left out lies so many mm away
_RIPPLE = 0.8  # mm that outlines are moved by


class Neighbours(NamedTuple):
    """What lies around the hippocampi of n patients; ellipsoids are [n,6], centre and half axes in mm."""

    ellipsoids: dict[str, Tensor]
    horn: Tensor  # [3] from the hippocampus' axis to the temporal horn's
    cortex: Tensor  # [3] to the parahippocampal cortex's
    cistern: float  # mm of fluid around the midbrain
    sulcus: float  # widths of sulci and cortex in units of the folds' depth
    ribbon: float
    alveus: float  # mm of white matter on the hippocampus
    leaf: tuple[float, float]  # direction and period in mm of the cerebellum's leaves
    folds: Tensor  # [n,1,128,128]


def draw_neighbours(n: int, organ: Hippocampus, generator: Generator) -> Neighbours:
    """Draw what lies around the task's hippocampus, and each patient's variant of it."""
    side = torch.tensor([0.0, between(0.3, 1, generator), between(0, 1, generator)])
    side = side / side.norm()
    ellipsoids = {name: _ellipsoids(n, *ends, generator) for name, ends in _WHERE.items()}
    ellipsoids["amygdala"][:, :3] += organ.spine[:, 0]
    for ellipsoid in ellipsoids.values():
        ellipsoid[:, 0] += _AWAY * chance(_LEFT_OUT, generator)
    folds = smooth_noise((1, 1), 128, pick(5, 12, generator), generator)
    folds = folds + between(0.2, 0.8, generator) * smooth_noise((n, 1), 128, pick(8, 20, generator), generator)
    return Neighbours(
        ellipsoids=ellipsoids,
        horn=side * between(1, 4.5, generator),
        cortex=-side * between(4, 8, generator),
        cistern=between(0.5, 5, generator),
        sulcus=between(0.02, 0.12, generator),
        ribbon=between(0.3, 0.9, generator),
        alveus=between(-1, 0.6, generator),
        leaf=(between(0, math.pi, generator), between(2.2, 5, generator)),
        folds=folds,
    )


def _ellipsoids(n: int, low: tuple[int, ...], high: tuple[int, ...], generator: Generator) -> Tensor:
    """Centres and half axes [n,6] in mm: the task's, and each patient's around them."""
    least, most = torch.tensor(low), torch.tensor(high)
    task = least + (most - least) * torch.rand((6,), generator=generator)
    return task + uniform(-1.5, 1.5, (n, 6), generator)


def temporal_lobe(points: Tensor, cutting: Tensor, organ: Hippocampus, around: Neighbours) -> Tensor:
    """Labels [n,H,W] of points [n,3,H,W] in mm; cutting [n,H,W] is how far anterior a point is, undeformed."""
    folds, ripples = (_sampled(around.folds, points, reach) for reach in (60, 20))
    labels = (folds.abs() < around.ribbon).long() * Label.GREY
    labels[folds.abs() < around.sulcus] = Label.CSF
    depths = {name: _depth(points, ellipsoid, ripples) for name, ellipsoid in around.ellipsoids.items()}
    _add_large(labels, depths, _leaves(points, ripples, around), around.cistern)
    labels[tube_depth(points, organ, around.cortex) > 0] = Label.CORTEX
    labels[tube_depth(points, organ, around.cortex * 0.2, 0.7) > 0] = Label.WHITE
    labels[depths["amygdala"] > 0] = Label.AMYGDALA
    labels[tube_depth(points, organ, around.horn) > 0] = Label.HORN
    depth = tube_depth(points, organ, torch.zeros(3)) + 0.5 * _RIPPLE * ripples
    labels[depth > -around.alveus] = Label.WHITE
    anterior = cutting > organ.cut[:, None, None]
    labels[(depth > 0) & anterior] = Label.HEAD
    labels[(depth > 0) & ~anterior] = Label.TAIL
    return labels


def _sampled(folds: Tensor, points: Tensor, reach: float) -> Tensor:
    """Folds [n,H,W] at points [n,3,H,W], those of a map being so many mm wide on either side."""
    grid = points[:, :2].permute(0, 2, 3, 1) + 0.7 * points[:, 2, ..., None]
    return F.grid_sample(folds, grid / reach, "bilinear", "reflection", align_corners=False)[:, 0]


def _add_large(labels: Tensor, depths: dict[str, Tensor], leaves: Tensor, cistern: float) -> None:
    """Put the large structures into labels by their depths in mm, the midbrain in its cistern and before the others."""
    labels[depths["cerebellum"] > -1] = Label.CSF
    torch.where(depths["cerebellum"] > 0, leaves, labels, out=labels)
    labels[depths["midbrain"] > -cistern] = Label.CSF
    labels[depths["striatum"] > 0] = Label.STRIATUM
    labels[depths["thalamus"] > 0] = Label.THALAMUS
    labels[depths["midbrain"] > 0] = Label.STEM


def _leaves(points: Tensor, ripples: Tensor, around: Neighbours) -> Tensor:
    """The cerebellum's leaves [n,H,W]: grey matter with thin fluid between."""
    turn, period = around.leaf
    way = points[:, 0] * math.cos(turn) + points[:, 1] * math.sin(turn) + 0.4 * points[:, 2]
    wave = torch.sin(2 * math.pi / period * way + ripples)
    return torch.where(wave > 0.7, Label.CSF, torch.where(wave < -0.6, Label.WHITE, Label.GREY))


def _depth(points: Tensor, ellipsoid: Tensor, ripples: Tensor) -> Tensor:
    """About how deep in mm points [n,3,H,W] lie within a rippled ellipsoid [n,6]."""
    centre, axes = ellipsoid[:, :3, None, None], ellipsoid[:, 3:, None, None]
    radius = (((points - centre) / axes) ** 2).sum(1).sqrt()
    return (1 - radius) * axes.mean(1) + _RIPPLE * ripples
