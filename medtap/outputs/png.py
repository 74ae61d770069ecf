"""Masks of images, as PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from medtap.outputs.atomic import atomic_write
from medtap.outputs.labels import to_bytes


def write_png_mask(labels: np.ndarray, path: str | Path, classes: int = 1) -> None:
    """Write a label map as an 8-bit grey PNG, atomically.

    Args:
        labels: [H, W], labels 0..N.
        path: the PNG file.
        classes: N; one class is written as 0 and 255, several as their label values.

    Raises:
        OutputError: the labels do not fit, or the file cannot be written.
    """
    grey = to_bytes(labels, 2, Path(path), most=classes)
    if classes == 1:
        grey = grey * np.uint8(255)
    with atomic_write(path) as temporary:
        Image.fromarray(grey).save(temporary, format="PNG")
