"""A photograph with the masks of its classes, which stay in their files until they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from medtap.errors import InputError


class ClassMasks(Protocol):
    """The masks of one photograph."""

    def mask(self, label: int) -> np.ndarray:
        """Where the photograph shows a class: bool [H,W]."""


@dataclass(frozen=True)
class Picture:
    """A photograph and what it shows.

    Attributes:
        image: its file.
        areas: by label, how many pixels show that class; of the background and of ignored pixels nothing is said.
        masks: of its classes.
    """

    image: Path
    areas: Mapping[int, int]
    masks: ClassMasks

    def read(self, label: int) -> tuple[np.ndarray, np.ndarray]:
        """The pixels, uint8 [H,W,3], and the mask of a class, bool [H,W].

        Raises:
            InputError: the image cannot be read, or has another size than its mask.
        """
        pixels, mask = read_pixels(self.image, "RGB"), self.masks.mask(label)
        if pixels.shape[:2] != mask.shape:
            raise InputError(
                "a photograph and its mask differ in size",
                file=self.image,
                expected=f"{mask.shape[0]} x {mask.shape[1]}, as its mask",
                found=f"{pixels.shape[0]} x {pixels.shape[1]}",
            )
        return pixels, mask


def read_pixels(path: Path, mode: str | None = None) -> np.ndarray:
    """The stored pixels of an image, not turned as its EXIF may ask, for masks are drawn on them.

    Args:
        path: of a JPEG or PNG.
        mode: Pillow's, to convert to; as stored, palette indices included, when None.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with Image.open(path) as stored:
            return np.asarray(stored if mode is None else stored.convert(mode))
    except OSError as error:
        raise InputError("not a readable image", file=path, expected="a whole JPEG or PNG") from error
