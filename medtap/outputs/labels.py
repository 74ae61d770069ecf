"""Label maps as the bytes that mask files hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medtap.errors import OutputError


def to_bytes(labels: np.ndarray, dimensions: int, path: Path, most: int = 255) -> np.ndarray:
    """Check a label map and make it unsigned 8-bit.

    Args:
        labels: whole numbers from 0 to ``most``.
        dimensions: how many axes it must have.
        path: the file it is meant for, named in errors.
        most: the largest label, at most 255.

    Returns:
        The same labels as uint8.

    Raises:
        OutputError: it has other axes, a label is out of range or no whole number, or ``most`` is more than a byte
            holds.
    """
    if most > 255:
        raise OutputError("too many classes for an 8-bit mask", file=path, expected="at most 255", found=str(most))
    if labels.ndim != dimensions:
        found = f"shape {tuple(labels.shape)}"
        raise OutputError("the label map does not fit the file", file=path, expected=f"{dimensions} axes", found=found)
    if labels.size and not (labels.min() >= 0 and labels.max() <= most):
        found = f"{labels.min()} to {labels.max()}"
        raise OutputError("the label map holds unknown labels", file=path, expected=f"0 to {most}", found=found)
    as_bytes = labels.astype(np.uint8)
    if not np.array_equal(as_bytes, labels):
        raise OutputError("the label map holds fractions", file=path, expected="whole numbers", found=str(labels.dtype))
    return as_bytes
