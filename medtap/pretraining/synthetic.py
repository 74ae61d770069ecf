"""Generated episodes: a scene, deformed in each picture, in a look of its own."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from medtap.chance import pick, uniform
from medtap.pretraining.appearance import deform, paint
from medtap.pretraining.scenes import SCENES

Task = tuple[Tensor, Tensor]
"""Images [n,3,S,S] float32 in [0,1] and binary masks [n,S,S] float32 of one class."""

_LEAST_SHARE, _LARGEST_SHARE = 0.004, 0.95


def is_fair(masks: Tensor) -> Tensor:
    """Whether the class fills a fair share of each picture, of masks [...,S,S]."""
    share = masks.mean((-2, -1))
    return (share > _LEAST_SHARE) & (share < _LARGEST_SHARE)


def generated_task(n: int, size: int, generator: Generator, lacking: int = 0) -> Task:
    """Draw n images [n,3,S,S] of one generated class with their masks [n,S,S]; all but the last ``lacking`` show it."""
    while True:
        labels, target = SCENES[pick(0, len(SCENES) - 1, generator)](n, size, generator)
        labels = deform(labels, float(uniform(0.2, 1.0, (1,), generator)), generator)
        labels = last_without(labels, target, lacking)
        masks = torch.isin(labels, torch.tensor(target)).float()
        if bool(is_fair(masks[: n - lacking]).all()):
            return paint(labels, target, generator), masks


def last_without(labels: Tensor, target: tuple[int, ...], lacking: int) -> Tensor:
    """Label maps [n,S,S] of which the last ones show what mostly lies around the target where they showed it."""
    if lacking == 0:
        return labels
    shown = torch.isin(labels, torch.tensor(target))
    around = F.max_pool2d(shown.float(), 5, stride=1, padding=2).bool() & ~shown
    last = torch.arange(len(labels)) >= len(labels) - lacking
    return labels.masked_fill(shown & last[:, None, None], int(labels[around].bincount(minlength=1).argmax()))
