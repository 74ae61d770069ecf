"""COCO's two ways to tell an object's pixels: polygons, and runs along the columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from skimage.draw import polygon

_OFFSET, _PAYLOAD, _SIGN, _MORE = 48, 5, 0x10, 0x20  # of a character of compressed runs


class Segment(Protocol):
    """A part of an object."""

    def fill(self, mask: np.ndarray) -> None:
        """Set the object's pixels in a mask, bool [H,W]."""


@dataclass(frozen=True, eq=False)
class Polygon:
    """An outline.

    Attributes:
        points: (x, y) [P,2] in pixels from the corner of the image, so that the first pixel's centre is (0.5, 0.5).
    """

    points: np.ndarray

    def fill(self, mask: np.ndarray) -> None:
        """Set the pixels of a mask [H,W] whose centres lie within."""
        x, y = (self.points - 0.5).T
        mask[polygon(y, x, mask.shape)] = True


@dataclass(frozen=True, eq=False)
class RunLengths:
    """Runs of pixels down the columns, from left to right: outside, inside, outside, ...

    Attributes:
        counts: pixels of each run.
        shape: H and W of the image.
    """

    counts: np.ndarray
    shape: tuple[int, int]

    def fill(self, mask: np.ndarray) -> None:
        """Set the pixels of a mask [H,W] that lie in runs inside."""
        inside = np.arange(len(self.counts)) % 2 == 1
        mask |= np.repeat(inside, self.counts).reshape(self.shape[::-1]).T


def read_segments(segmentation: Iterable[Any] | Mapping[str, Any]) -> tuple[Segment, ...]:
    """The parts of one object, of the ``segmentation`` of a COCO annotation.

    Raises:
        ValueError: it is neither polygons nor runs that fill an image.
    """
    if isinstance(segmentation, Mapping):
        return (_runs(segmentation),)
    return tuple(Polygon(np.asarray(flat, np.float32).reshape(-1, 2)) for flat in segmentation)


def _runs(told: Mapping[str, Any]) -> RunLengths:
    counts = told["counts"]
    runs = np.asarray(unpacked(counts) if isinstance(counts, str) else counts)
    height, width = told["size"]
    if runs.sum() != height * width or (runs < 0).any():
        raise ValueError("runs that do not fill the image")
    return RunLengths(runs, (height, width))


def unpacked(text: str) -> list[int]:
    """The runs of COCO's compressed text.

    A number takes as many characters as it needs, five bits each and the lowest first; from the fourth on it is the
    difference from the run before the last.
    """
    runs: list[int] = []
    number = shift = 0
    for character in text:
        bits = ord(character) - _OFFSET
        number |= (bits & (_MORE - 1)) << shift
        shift += _PAYLOAD
        if not bits & _MORE:
            number -= (1 << shift) if bits & _SIGN else 0
            runs.append(number + (runs[-2] if len(runs) > 2 else 0))
            number = shift = 0
    return runs
