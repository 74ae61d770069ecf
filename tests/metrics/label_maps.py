"""Label maps to score: a square whose numbers are reckoned by hand, and blobs."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def square(top: int, left: int, side: int, shape: tuple[int, int] = (20, 24), label: int = 1) -> np.ndarray:
    labels = np.zeros(shape, np.uint8)
    labels[top : top + side, left : left + side] = label
    return labels


def blobs(seed: int, shape: tuple[int, ...] = (40, 48), classes: int = 2) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 3)
    return np.digitize(noise, np.quantile(noise, np.linspace(0.6, 0.9, classes))).astype(np.uint8)
