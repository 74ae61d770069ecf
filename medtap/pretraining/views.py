"""Views of one photograph that differ strongly: each has its own affine map and smooth displacement."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from medtap.chance import pick, smooth_noise, uniform
from medtap.pretraining.camera import between
from medtap.pretraining.synthetic import Task


@dataclass(frozen=True)
class ViewSampler:
    """What the views of one task share: where the region lies and how strongly they differ.

    Attributes:
        region: [h,w] in [0,1], above 0.5 within.
        points: places within the region [P,2] as (x, y) in [-1, 1].
        turn: largest rotation in radians.
        nearest: least extent of a view, in short sides of the photograph.
        mirrored: whether views may be mirrored.
        wobble: standard deviation of the smooth displacement, in half sides of a view.
    """

    region: Tensor
    points: Tensor
    turn: float
    nearest: float
    mirrored: bool
    wobble: float

    @classmethod
    def of(cls, region: Tensor, generator: Generator) -> ViewSampler:
        """Draw how strongly the views of a region [h,w] differ."""
        inside = (region > 0.5).nonzero().flip(-1) + 0.5
        points = inside / torch.tensor(region.shape).flip(0) * 2 - 1
        turn = (0.15, 0.5, math.pi)[pick(0, 2, generator)]
        nearest, wobble = between(0.35, 0.8, generator), between(0.01, 0.08, generator)
        return cls(region, points, turn, nearest, bool(pick(0, 1, generator)), wobble)

    def draw(self, n: int, size: int, generator: Generator) -> Task:
        """Sampling grids [n,S,S,2] in the photograph's [-1, 1] and the masks [n,S,S] seen there."""
        extent = uniform(self.nearest, 1.1, (n, 1), generator)
        grids = F.affine_grid(self._affine(extent, generator), [n, 1, size, size], align_corners=False)
        displacement = smooth_noise((n, 2), size, pick(2, 6, generator), generator).permute(0, 2, 3, 1)
        grids = grids + self.wobble * extent.view(n, 1, 1, 1) * displacement
        seen = F.grid_sample(self.region.expand(n, 1, -1, -1), grids, "bilinear", "reflection", align_corners=False)
        return grids, (seen[:, 0] > 0.5).float()

    def _affine(self, extent: Tensor, generator: Generator) -> Tensor:
        """Affine maps [n,2,3] of views of an extent [n,1] that show a place within the region."""
        n = len(extent)
        angle = uniform(-self.turn, self.turn, (n,), generator)
        rotation = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(n, 2, 2)
        sides = torch.tensor(self.region.shape).flip(0)
        stretch = extent * uniform(0.8, 1.25, (n, 2), generator) * self._mirror(n, generator)
        shown = self.points[torch.randint(len(self.points), (n,), generator=generator)]
        centre = (shown + uniform(-0.6, 0.6, (n, 2), generator) * extent).clamp(-1, 1) * (1 - extent).clamp(min=0.1)
        return torch.cat([rotation * stretch[:, None] * (sides.min() / sides)[:, None], centre[..., None]], 2)

    def _mirror(self, n: int, generator: Generator) -> Tensor:
        signs = torch.randint(0, 2, (n, 2), generator=generator) * 2.0 - 1
        return signs if self.mirrored else torch.ones(n, 2)
