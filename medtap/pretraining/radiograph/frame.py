"""Where the pixels of a chest radiograph lie in the patients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from medtap.pretraining.cohort import Cohort
from medtap.pretraining.scenes import coordinates


@dataclass(frozen=True)
class Frame:
    """Where the pixels [n,S,S] lie in their patients; half a thorax is 1 wide and the lungs are 2 high."""

    x: Tensor
    """Offset from the midline, positive to the patient's left, which is on the right of the picture."""
    y: Tensor
    """-1 at the apex of the lungs, 1 at the costophrenic angles."""
    u: Tensor
    """Distance from the midline."""
    left: Tensor
    """0 on the patient's right, 1 on the left, soft in the midline."""
    pixel: Tensor
    """Size [n,1,1] of a pixel in these units."""

    def edge(self, depth: Tensor, width: float = 0.0) -> Tensor:
        """Coverage [n,S,S] in [0,1] of where depth is positive, soft over a width or at least over a pixel."""
        return (depth * (4 / (self.pixel + width))).sigmoid_()

    def side(self, cohort: Cohort, low: float, high: float, unlike: float = 0.25) -> Tensor:
        """A value [n,S,S] that varies between patients and, by a part of its range, between their two sides."""
        offset = cohort.vary(-1, 1) * unlike * (high - low)
        return cohort.vary(low, high) + offset * (self.left - 0.5)


def place_patients(cohort: Cohort) -> Frame:
    """Place the patients: shift, tilt, scale, inspiration, a curved spine and a smooth warp."""
    row, column = coordinates(cohort.size)
    width, angle = cohort.vary(0.64, 0.96), cohort.vary(-0.09, 0.09)
    height = width * cohort.vary(0.76, 1.1)
    row, column = row - cohort.vary(-0.16, 0.12), column - cohort.vary(-0.1, 0.1)
    strength = cohort.vary(0.005, 0.03)
    y = (row * angle.cos() - column * angle.sin()) / height + strength * cohort.bicubic_noise(3)
    x = (row * angle.sin() + column * angle.cos()) / width + strength * cohort.bicubic_noise(3)
    x = x + cohort.vary(-0.04, 0.04) * (2 * y + cohort.vary(-2, 2)).sin()
    return Frame(x, y, x.abs(), torch.sigmoid(x * 25), 2 / cohort.size / width)
