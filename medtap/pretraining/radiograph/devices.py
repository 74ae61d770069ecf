"""Absorption of wires, tubes and electrodes."""

from __future__ import annotations

import torch
from torch import Tensor

from medtap.chance import pick, uniform
from medtap.pretraining.cohort import Cohort
from medtap.pretraining.radiograph.frame import Frame
from medtap.pretraining.radiograph.lines import strokes


def devices(frame: Frame, cohort: Cohort) -> Tensor:
    """Absorption [n,S,S] of wires, tubes and electrodes on some patients of some tasks."""
    if pick(0, 2, cohort.generator):
        return torch.zeros_like(frame.x)
    a, b, c = uniform(-1.1, 1.1, (3, 2, cohort.n, pick(1, 4, cohort.generator), 1), cohort.generator)
    s = torch.linspace(0, 1, 3 * cohort.size)
    x, y = (1 - s) ** 2 * a + 2 * s * (1 - s) * b + s**2 * c
    metal = strokes(x, y, torch.ones_like(x), frame)
    for end in (a, c):
        centre = end[:, :, 0]
        metal = metal + frame.edge(0.05 - torch.hypot(frame.x - centre[0, :, None], frame.y - centre[1, :, None]))
    return cohort.some(0.6) * cohort.vary(0.1, 0.5) * metal
