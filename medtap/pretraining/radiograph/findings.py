"""Absorption of hila and vessels, and of what an ill lung shows."""

from __future__ import annotations

import torch
from torch import Tensor

from medtap.chance import pick, uniform
from medtap.pretraining.cohort import Cohort
from medtap.pretraining.radiograph.frame import Frame
from medtap.pretraining.radiograph.lines import strokes
from medtap.pretraining.radiograph.thorax import Thorax


def findings(frame: Frame, thorax: Thorax, cohort: Cohort) -> Tensor:
    """Absorption [n,S,S] of hila, vessels and, in some, of patchy opacities and fluid over the lungs."""
    lungs = frame.edge(thorax.lungs, 0.15)
    hilum = torch.hypot(frame.u - frame.side(cohort, 0.22, 0.36), (frame.y - frame.side(cohort, -0.1, 0.2)) * 0.7)
    vessels = cohort.vary(0.02, 0.16) * _vessels(frame, cohort)
    vessels = vessels + cohort.vary(0.02, 0.15) * (-((hilum / 0.15) ** 2)).exp()
    patches = (cohort.bicubic_noise(pick(3, 8, cohort.generator)) - cohort.vary(0.0, 1.0)).clamp(0, 1)
    grain = 1 + 0.3 * cohort.bicubic_noise(24)
    ill = cohort.some(cohort.between(0, 0.8))
    fluid = cohort.some(0.15) * frame.edge(frame.y - frame.side(cohort, 0.3, 0.9, 1.5), 0.3)
    return lungs * (vessels + ill * cohort.vary(0.05, 0.35) * patches * grain + cohort.vary(0.1, 0.3) * fluid)


def _vessels(frame: Frame, cohort: Cohort) -> Tensor:
    """Branches [n,S,S] that leave the hila and thin out to the side."""
    shape, side = (cohort.n, 60, 1), torch.arange(60).view(1, -1, 1) % 2 * 2.0 - 1
    s = torch.linspace(0, 1, cohort.size).view(1, 1, -1)
    start = uniform(0, 0.35, shape, cohort.generator)
    length = (1 - start) * uniform(0.3, 1.0, shape, cohort.generator)
    angle = uniform(-1.4, 1.4, shape, cohort.generator)
    bearing = angle + uniform(-0.6, 0.6, shape, cohort.generator) * s
    x = side * (0.2 + 0.8 * (start * angle.cos() + length * s * bearing.cos()))
    y = 0.05 + start * angle.sin() + length * s * bearing.sin()
    return strokes(x, y, (1 - 0.8 * s) * (1 - start), frame)
