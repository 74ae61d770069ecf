"""Slices of any shape as square pictures."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from medtap.pretraining.synthetic import Task


def stretch(images: Tensor, masks: Tensor, size: int) -> Task:
    """Stretch grey images [n,1,H,W] and masks [n,H,W] to [n,3,S,S] and [n,S,S]."""
    images = F.interpolate(images, (size, size), mode="bilinear")
    masks = F.interpolate(masks[:, None], (size, size), mode="nearest-exact")[:, 0]
    return images.expand(-1, 3, -1, -1).contiguous(), masks
