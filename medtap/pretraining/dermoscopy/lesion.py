"""Where a lesion lies, and its outline."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from medtap.chance import pick
from medtap.pretraining.cohort import Cohort


@dataclass(frozen=True)
class Lesion:
    """Where the lesions are, all maps [n,S,S]."""

    depth: Tensor
    """Signed, positive within, in units of the lesion's radius."""
    angle: Tensor
    profile: Tensor
    """How much of the lesion's pigment there is, 0 to 1, fading over its border."""
    extent: Tensor
    """The profile as an expert follows it: without the finest irregularities, with a margin."""
    core: Tensor
    """How much of the darker inner part there is, 0 to 1."""


def place_lesion(plane: Tensor, cohort: Cohort) -> Lesion:
    """Place and outline one lesion in each picture, on a plane [1,2,S,S] of skin coordinates."""
    radius, off, turn = cohort.blend(0.14, 1.15), cohort.between(0.05, 0.45), cohort.free(0, math.pi)
    stretch, ragged = cohort.blend(1.0, 1.35) ** 0.5, cohort.blend(0, 1) ** 2
    y, x = plane[:, 0] - cohort.free(-off, off), plane[:, 1] - cohort.free(-off, off)
    warp = 0.22 * ragged * radius
    y, x = (line + warp * (cohort.noise(4 / float(radius.mean())) + 0.4 * cohort.noise(14)) for line in (y, x))
    y, x = (y * turn.cos() - x * turn.sin()) / stretch, (y * turn.sin() + x * turn.cos()) * stretch
    angle = torch.atan2(y, x)
    depth = _contour(angle, ragged, cohort) - torch.hypot(y, x) / radius
    width = cohort.blend(-4.6, -1.9).exp() * (cohort.free(0, 0.9) * cohort.noise(2)).exp()
    core = torch.sigmoid((depth - cohort.blend(0.2, 0.6) + 0.08 * cohort.noise(4)) / width.clamp(min=0.04) * 2)
    margin = cohort.blend(-0.02, 0.1) + cohort.free(-0.03, 0.03)
    frayed = depth + cohort.blend(0, 0.1) * cohort.noise(cohort.size / 6) + ragged * 0.12 * cohort.noise(18)
    return Lesion(depth, angle, torch.sigmoid(frayed / width), torch.sigmoid((depth + margin) / width), core)


def _contour(angle: Tensor, ragged: Tensor, cohort: Cohort) -> Tensor:
    """Radius [n,S,S] of the outline in each direction: harmonics, and a few notches and pseudopods."""
    contour = torch.ones_like(angle)
    for harmonic in range(2, 6):
        contour = contour + cohort.free(0, 0.3) * ragged / harmonic * (harmonic * angle + cohort.free(0, 6.3)).cos()
    for _ in range(pick(0, 3, cohort.generator)):
        sharpness = cohort.free(3, 40)
        bump = (sharpness * ((angle - cohort.free(0, 6.3)).cos() - 1)).exp()
        contour = contour + cohort.blend(-0.35, 0.3) * bump
    return contour
