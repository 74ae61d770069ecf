"""The patients of a generated task, and how what is drawn for one differs from what is drawn for all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from medtap.chance import uniform
from medtap.pretraining import camera


@dataclass(frozen=True)
class Cohort:
    """The n patients of one task, one picture each."""

    n: int
    """Patients."""
    size: int
    """Side S of a picture in pixels."""
    spread: float
    """How far patients differ, as a part of the range that tasks vary in; 0: not at all."""
    generator: Generator
    """Source of chance."""

    def between(self, low: float, high: float) -> float:
        """One number in [low, high) for the whole task."""
        return camera.between(low, high, self.generator)

    def free(self, low: float, high: float) -> Tensor:
        """A value [n,1,1] in [low, high), drawn for each patient alone."""
        return uniform(low, high, (self.n, 1, 1), self.generator)

    def blend(self, low: float, high: float) -> Tensor:
        """A value [n,1,1] in [low, high), the spread being its way from the task's to one of the patient's own."""
        common = uniform(0, 1, (1, 1, 1), self.generator)
        return low + (high - low) * torch.lerp(common, self.free(0, 1), self.spread)

    def vary(self, low: float, high: float) -> Tensor:
        """A value [n,1,1] normal about the task's, which is uniform in [low, high); it may lie a little beyond."""
        mean = torch.rand((1, 1, 1), generator=self.generator)
        level = mean + self.spread * torch.randn((self.n, 1, 1), generator=self.generator)
        return low + (high - low) * level.clamp(-0.15, 1.15)

    def either(self, kinds: Tensor) -> Tensor:
        """One of several kinds of maps, [n,S,S] of [k,n,S,S]: the task's, or any in the spread's share of patients."""
        common = torch.randint(len(kinds), (1,), generator=self.generator)
        own = torch.randint(len(kinds), (self.n,), generator=self.generator)
        chosen = torch.where(self.some(self.spread).flatten() > 0, own, common)
        return kinds[chosen, torch.arange(self.n)]

    def some(self, chance: float) -> Tensor:
        """Ones [n,1,1] for about this share of the patients, zeros for the others."""
        return (self.free(0, 1) < chance).float()

    def shown(self, chance: float) -> Tensor:
        """Ones [n,1,1] for the patients with a thing that only this share of the tasks knows at all."""
        known = self.between(0, 1) < chance
        return known * (self.free(0, 1) < self.between(0.2, 1.2)).float()

    def noise(self, cells: float) -> Tensor:
        """Smooth noise [n,S,S] of unit deviation everywhere, by cubic B-splines with features S/cells wide."""
        weights = _spline(self.size, max(1, min(self.size // 2, round(cells))))
        coarse = torch.randn((self.n, weights.shape[1], weights.shape[1]), generator=self.generator)
        return weights @ coarse @ weights.T

    def bicubic_noise(self, cells: int) -> Tensor:
        """Smooth noise [n,S,S] through normal knots S/cells apart, of unit deviation there and less between them."""
        coarse = torch.randn((self.n, 1, cells + 1, cells + 1), generator=self.generator)
        return F.interpolate(coarse, (self.size, self.size), mode="bicubic", align_corners=True)[:, 0]


@lru_cache(maxsize=128)
def _spline(size: int, cells: int) -> Tensor:
    """Cubic B-spline weights [S,cells+3] of knots along a side, scaled so that white noise keeps its deviation."""
    distance = (torch.arange(size)[:, None] / size * cells - torch.arange(cells + 3) + 1).abs()
    near, far = 2 / 3 - distance**2 + distance**3 / 2, (2 - distance).clamp(min=0) ** 3 / 6
    weights = torch.where(distance < 1, near, far)
    return weights / weights.square().sum(1, keepdim=True).sqrt()
