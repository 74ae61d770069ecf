"""Things that lie on a picture."""

from __future__ import annotations

import torch
from torch import Tensor

from medtap.chance import pick, uniform
from medtap.pretraining.cohort import Cohort

Layer = tuple[Tensor, Tensor]
"""Something on the picture: opacity [n,S,S] in [0,1] and colour [n,3,1,1]."""


def lay(images: Tensor, layers: list[Layer]) -> Tensor:
    """Lay things over images [n,3,S,S], in this order."""
    for opacity, colour in layers:
        images = torch.lerp(images, colour.expand_as(images), opacity[:, None].clamp(0, 1))
    return images


def colour_near(means: list[list[float]], spread: float, cohort: Cohort) -> Tensor:
    """A colour [n,3,1,1] around one of these means, alike in all channels up to a cast."""
    mean = torch.tensor(means[pick(0, len(means) - 1, cohort.generator)]).view(1, 3, 1, 1)
    cast = uniform(-spread / 3, spread / 3, (cohort.n, 3, 1, 1), cohort.generator)
    return (mean + cohort.free(-spread, spread)[:, None] + cast).clamp(0, 1)
