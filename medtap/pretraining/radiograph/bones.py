"""Absorption of the bones of a thorax."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from medtap.pretraining.cohort import Cohort
from medtap.pretraining.radiograph.frame import Frame
from medtap.pretraining.radiograph.thorax import Thorax


def bones(frame: Frame, thorax: Thorax, cohort: Cohort) -> Tensor:
    """Absorption [n,S,S] of spine, ribs, clavicles, scapulae and upper arms."""
    spacing, wave = cohort.vary(0.17, 0.24), frame.y * 2 * math.pi
    spine = frame.edge(cohort.vary(0.11, 0.16) - frame.u + 0.01 * (wave / spacing).cos(), 0.06)
    disc = 1 - cohort.vary(0.2, 1.0) * ((wave / spacing).cos() - 0.5).clamp_min(0)
    total = cohort.vary(0.03, 0.22) * spine * disc
    total = total + cohort.vary(0.07, 0.25) * _tube(thorax.clavicles, 0.06)
    blade = _scapulae(frame, cohort)
    total = total + cohort.vary(0.04, 0.16) * (_tube(blade, 0.04) * 0.5 + frame.edge(blade, 0.05) * 0.5)
    humerus = 0.1 - (frame.u - cohort.vary(1.35, 1.6) - cohort.vary(0.0, 0.4) * (frame.y + 1)).abs()
    shaft = cohort.vary(0.1, 0.3) * _tube(torch.minimum(humerus, frame.y + 1.0), 0.1)
    return total + shaft + _ribs(frame, thorax, cohort)


def _tube(depth: Tensor, radius: Tensor | float) -> Tensor:
    """Absorption [n,S,S] of a bone with a bright rim: depth is positive within and at most the radius."""
    part = (depth / radius).clamp(0, 1)
    return part.sqrt() * (1.6 - part) * 1.2


def _scapulae(frame: Frame, cohort: Cohort) -> Tensor:
    """Depth [n,S,S] in two tilted triangles beside the upper ribs."""
    across, down = frame.u - frame.side(cohort, 0.95, 1.2), frame.y - frame.side(cohort, -0.5, -0.25)
    lean = across + cohort.vary(0.0, 0.5) * down
    return torch.minimum(0.22 - 0.3 * down - lean.abs(), 0.45 - down.abs())


def _ribs(frame: Frame, thorax: Thorax, cohort: Cohort) -> Tensor:
    """Absorption [n,S,S] of the posterior ribs, which fall to the side, and of the anterior ones, which rise to it."""
    within = frame.edge(thorax.cage + 0.02, 0.06) * frame.edge(1.1 - frame.y, 0.4)
    spacing, thick = cohort.vary(0.19, 0.27), cohort.vary(0.22, 0.36)
    fall = frame.side(cohort, 0.15, 0.8) * (frame.u - 0.35) ** 2 * (1 + 0.6 * frame.y) + 0.35 * frame.u**5
    back = (frame.y - fall + 0.01 * cohort.bicubic_noise(6)) / spacing + cohort.vary(0, 1)
    front = (frame.y + frame.side(cohort, 0.3, 0.8) * frame.u + 0.3 * frame.u**4) / spacing / 1.3 + cohort.vary(0, 1)
    bands = [thick - (phase - phase.floor() - 0.5).abs() for phase in (back, front)]
    fade = frame.edge(frame.u - cohort.vary(0.4, 0.6), 0.3) * frame.edge(frame.y + 0.7, 0.2)
    posterior = cohort.vary(0.02, 0.13) * _tube(bands[0], thick) * frame.edge(frame.u - 0.12, 0.05)
    anterior = cohort.vary(0.0, 0.06) * _tube(bands[1], thick) * fade
    return within * (posterior + anterior) * (1 - 0.4 * frame.edge(-thorax.chest, 0.1))
