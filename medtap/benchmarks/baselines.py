"""Baselines that ignore or barely use the support set: a centred disc and Otsu's threshold."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import permutations
from typing import Any

import numpy as np
import torch
from skimage.filters import threshold_multiotsu
from torch import Tensor
from torch.nn import functional as F

from medtap.benchmarks.method import Learnt
from medtap.support import SupportSet


@dataclass(frozen=True)
class CentredDisc:
    """A disc in the middle of the picture, of the size of the support's foreground; of several classes, rings.

    Attributes:
        size: side in pixels at which the support masks are measured.
    """

    size: int = 256

    def describe(self) -> dict[str, Any]:
        """What decides its results."""
        return asdict(self)

    def learn(self, support: SupportSet) -> Learnt:
        """Take each class's mean share [N] of the support masks; the first class is innermost."""
        labels = range(1, len(support.classes) + 1)
        shares = torch.stack([(support.masks == label).float().mean() for label in labels])

        def segment(images: Tensor) -> Tensor:
            rings = centred_rings(images.shape[-2], images.shape[-1], shares)
            return _as_logits(rings.expand(len(images), -1, -1), len(shares))

        return Learnt(segment)


def centred_rings(height: int, width: int, shares: Tensor) -> Tensor:
    """Labels [H,W] of concentric rings (ellipses where H and W differ) of areas ``shares`` [N], label 1 innermost."""
    rows, columns = ((2 * torch.arange(side) + 1 - side) / side for side in (height, width))
    distances = rows[:, None] ** 2 + columns[None] ** 2
    borders = torch.quantile(distances, shares.cumsum(0).clamp(max=1))
    return (torch.bucketize(distances, borders) + 1) % (len(shares) + 1)


@dataclass(frozen=True)
class Otsu:
    """Otsu's thresholds (1979) of each picture; the support set only says which grey level is which class.

    Attributes:
        size: side in pixels at which the support pictures are thresholded.
    """

    size: int = 256

    def describe(self) -> dict[str, Any]:
        """What decides its results."""
        return asdict(self)

    def learn(self, support: SupportSet) -> Learnt:
        """Choose the class of each level by the mean IoU on the support set: of one class, the polarity alone."""
        count = len(support.classes)
        levels = [otsu_levels(image, count) for image in support.images]
        masks = support.masks.numpy()
        meanings = (np.array(order) for order in permutations(range(count + 1)))
        best = max(meanings, key=lambda order: _mean_iou(order[np.stack(levels)], masks, count))

        def segment(images: Tensor) -> Tensor:
            labels = np.stack([best[otsu_levels(image, count)] for image in images])
            return _as_logits(torch.from_numpy(labels), count)

        return Learnt(segment)


def otsu_levels(image: Tensor, thresholds: int) -> np.ndarray:
    """Levels 0 (darkest) to the number of thresholds, [H,W], of an image [3,H,W]; all 0 where it has too few greys."""
    grey = np.round(image.mean(0).numpy() * 255).astype(np.uint8)
    if len(np.unique(grey)) <= thresholds:
        return np.zeros(grey.shape, np.int64)
    return np.digitize(grey, threshold_multiotsu(grey, thresholds + 1), right=True)


def _mean_iou(labels: np.ndarray, masks: np.ndarray, classes: int) -> float:
    pairs = [(labels == label, masks == label) for label in range(1, classes + 1)]
    return float(np.mean([(found & true).sum() / max((found | true).sum(), 1) for found, true in pairs]))


def _as_logits(labels: Tensor, classes: int) -> Tensor:
    """One-hot maps [B,N+1,H,W] of labels [B,H,W]."""
    return F.one_hot(labels, classes + 1).movedim(-1, 1).float()
