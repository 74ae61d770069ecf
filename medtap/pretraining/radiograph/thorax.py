"""Outlines of the parts of a thorax."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from medtap.pretraining.cohort import Cohort
from medtap.pretraining.radiograph.frame import Frame


@dataclass(frozen=True)
class Thorax:
    """Signed depths [n,S,S] of the parts of a thorax, positive within."""

    cage: Tensor
    """Within the rib cage."""
    lateral: Tensor
    """Outside of the mediastinum."""
    chest: Tensor
    """Above the diaphragm."""
    heart: Tensor
    """Within the heart."""
    clavicles: Tensor
    """Within a clavicle."""

    @cached_property
    def lungs(self) -> Tensor:
        """Within the lung fields: without mediastinum, heart, and what lies below the domes of the diaphragm."""
        return torch.stack([self.cage, self.lateral, self.chest, -self.heart]).amin(0)


def outline_thorax(frame: Frame, cohort: Cohort) -> Thorax:
    """The outlines that bound the lungs."""
    t = (1 - frame.y) / 2
    cage, lateral = _walls(frame, t, cohort)
    heart = _heart(frame, cohort)
    return Thorax(cage, lateral, t - _diaphragm(frame, cohort), heart, _clavicles(frame, cohort))


def _walls(frame: Frame, t: Tensor, cohort: Cohort) -> tuple[Tensor, Tensor]:
    """Depths [n,S,S] inside the rib cage and outside the mediastinum; t is 0 at the angles and 1 at the apex."""
    rise = t.clamp(0, 1)
    apex = frame.side(cohort, 0.3, 0.46)
    wide = frame.side(cohort, 0.92, 1.06)
    wall = apex + (wide - apex) * (1 - rise ** cohort.vary(2.0, 3.6)).clamp_min(0) ** cohort.vary(0.45, 0.65)
    wall = wall - frame.side(cohort, -0.1, 0.5) * (0.35 - rise).clamp_min(0) ** 2 * 2
    narrow = apex - frame.side(cohort, 0.13, 0.26)
    border = apex - narrow * (1 - rise**8).clamp_min(0) ** 0.5
    knob = cohort.vary(0.02, 0.16) * (-(((t - cohort.vary(0.66, 0.76)) / 0.08) ** 2)).exp()
    trunk = cohort.vary(0.0, 0.14) * (-(((t - cohort.vary(0.48, 0.58)) / 0.1) ** 2)).exp()
    cava = cohort.vary(0.0, 0.1) * (-(((t - cohort.vary(0.5, 0.7)) / 0.15) ** 2)).exp()
    border = border + torch.lerp(cava, knob + trunk, frame.left) + 0.008 * cohort.bicubic_noise(12)
    return torch.minimum(wall - frame.u, 2 * (1 - t)), frame.u - border


def _diaphragm(frame: Frame, cohort: Cohort) -> Tensor:
    """Height [n,S,S] of two domes above the costophrenic angles; the right is mostly higher, angles may be blunt."""
    top = frame.side(cohort, 0.4, 0.6)
    reach = torch.where(frame.u > top, 1.0 - top, cohort.vary(0.75, 1.2))
    dome = frame.side(cohort, 0.13, 0.4, 0.2) - cohort.vary(-0.01, 0.06) * frame.left
    arch = 1 - ((frame.u - top) / reach) ** 2
    height = dome * (arch.clamp_min(0) ** cohort.vary(0.5, 1.0) + arch.clamp(-1, 0))
    blunt = cohort.some(0.25) * frame.side(cohort, 0, 0.3, 1.0).clamp_min(0)
    return height - cohort.vary(-0.02, 0.03) + blunt * (-((1 - frame.u).clamp_min(0) / 0.2)).exp()


def _heart(frame: Frame, cohort: Cohort) -> Tensor:
    """Depth [n,S,S] in a tilted egg that reaches further to the left."""
    ratio, turn = cohort.vary(0.4, 0.6), cohort.vary(0.3, 0.9)
    across, down = frame.x - cohort.vary(0.08, 0.24), frame.y - cohort.vary(0.32, 0.62)
    along = across * turn.cos() + down * turn.sin()
    aside = down * turn.cos() - across * turn.sin()
    radius = torch.hypot(along / (ratio * cohort.vary(1.0, 1.15)), aside / (ratio * cohort.vary(0.8, 1.05)))
    return (1 - radius) * ratio + 0.008 * cohort.bicubic_noise(8)


def _clavicles(frame: Frame, cohort: Cohort) -> Tensor:
    """Depth [n,S,S] in two bent rods from the sternum to the shoulders."""
    along = frame.u - cohort.vary(0.1, 0.2)
    middle = frame.side(cohort, -0.75, -0.4) - frame.side(cohort, -0.05, 0.5) * along
    middle = middle + cohort.vary(-0.02, 0.09) * (along * 5).sin() - cohort.vary(0.0, 0.2) * along**2
    thick = cohort.vary(0.042, 0.07) * (1 + 2 * (along - 0.4) ** 2)
    ends = torch.minimum(along, 1.15 - frame.u).clamp(0, 0.08) / 0.08
    return thick * ends.sqrt() - (frame.y - middle).abs()
