"""What a page may show of a case, kept so small that every case of a run can have one."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from medtap.report.overlay import draw_overlay

_KEPT, _DRAWN = 256, 384  # longest side in pixels of what is kept, and of what is drawn from it
_KEPT_QUALITY, _DRAWN_QUALITY = 85, 82


@dataclass(frozen=True)
class CasePicture:
    """One plane of a case with its label maps, compressed; about 12 kB.

    Attributes:
        image: JPEG of [h, w, 3].
        shape: (h, w).
        size: width and height to draw it at, in pixels, true to the proportions in mm.
        found: the predicted labels [h, w] uint8, compressed.
        truth: the true labels [h, w] uint8, compressed; None where there are none.
        shares: the share of the plane that each class was predicted on, 0 to 1.
        plane: number of the plane among ``planes``, from 1; None for images.
        planes: how many planes the volume has; None for images.
    """

    image: bytes
    shape: tuple[int, int]
    size: tuple[int, int]
    found: bytes
    truth: bytes | None
    shares: tuple[float, ...]
    plane: int | None = None
    planes: int | None = None

    def draw(self, classes: int) -> bytes:
        """JPEG with the truth outlined and the prediction shaded; without a truth the prediction is outlined too."""
        pixels = np.asarray(Image.open(io.BytesIO(self.image)))
        found = self._labels(self.found)
        outlined = found if self.truth is None else self._labels(self.truth)
        return jpeg(draw_overlay(pixels, self.size, classes, outlined=outlined, shaded=found), _DRAWN_QUALITY)

    def _labels(self, packed: bytes) -> np.ndarray:
        return np.frombuffer(zlib.decompress(packed), np.uint8).reshape(self.shape)


def take_picture(
    image: np.ndarray,
    found: np.ndarray,
    truth: np.ndarray | None,
    classes: int,
    steps: Sequence[float] = (1.0, 1.0),
) -> CasePicture:
    """Take the picture of a case; of a volume, the plane with the largest foreground (the middle one if there is none).

    Args:
        image: [1 or 3, H, W] or [1, H, W, planes] in [0, 1].
        found: the predicted labels [H, W] or [H, W, planes].
        truth: the true labels on the same grid, which choose the plane where they are known.
        classes: number of classes N.
        steps: distance of rows and of columns, in any one unit.
    """
    number = planes = None
    if image.ndim == 4:
        index, planes = _fullest(found if truth is None else truth), image.shape[-1]
        image, found, truth = image[..., index], found[..., index], None if truth is None else truth[..., index]
        number = index + 1
    size = _fit(found.shape, steps, _DRAWN)
    shape = tuple(map(min, found.shape, _fit(found.shape, steps, _KEPT)[::-1]))
    picture = _pixels(image).resize((shape[1], shape[0]), Image.Resampling.BILINEAR, reducing_gap=2.0)
    shares = tuple(float((found == label).mean()) for label in range(1, classes + 1))
    packed = None if truth is None else _pack(truth, shape)
    return CasePicture(
        jpeg(picture, _KEPT_QUALITY), (shape[0], shape[1]), size, _pack(found, shape), packed, shares, number, planes
    )


def jpeg(picture: Image.Image, quality: int) -> bytes:
    """The bytes of a picture as JPEG; colours are kept as fine as grey, since thin lines tell the classes apart."""
    file = io.BytesIO()
    picture.convert("RGB").save(file, format="JPEG", quality=quality, optimize=True, subsampling=0)
    return file.getvalue()


def _fullest(labels: np.ndarray) -> int:
    foreground = np.count_nonzero(labels, axis=(0, 1))
    return int(foreground.argmax()) if foreground.any() else labels.shape[-1] // 2


def _fit(shape: Sequence[int], steps: Sequence[float], longest: int) -> tuple[int, int]:
    """Width and height of a grid [H, W] in its true proportions, the longer one as given and the other at least 1."""
    height, width = shape[0] * steps[0], shape[1] * steps[1]
    scale = longest / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _pixels(image: np.ndarray) -> Image.Image:
    channels = (np.asarray(image).clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(channels, (3, *channels.shape[1:])).transpose(1, 2, 0)))


def _pack(labels: np.ndarray, shape: Sequence[int]) -> bytes:
    """The label that lies at the middle of each pixel of a smaller grid."""
    rows, columns = (
        ((np.arange(small) + 0.5) * large / small).astype(int) for small, large in zip(shape, labels.shape, strict=True)
    )
    return zlib.compress(np.ascontiguousarray(labels[np.ix_(rows, columns)].astype(np.uint8)).tobytes(), 1)
