"""PNG, JPEG, BMP and TIFF images, row first, upright, without alpha, in the file's own depth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import PathLike
from monai.data.image_reader import ImageReader
from PIL import Image, ImageOps

from medtap.data.scan import Geometry, Scan, array_and_meta, check_file, check_finite, single_path
from medtap.data.tiff import decode_tiff, is_tiff
from medtap.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")

_FORMATS = ("PNG", "JPEG", "BMP", "DIB")
_SINGLE_CHANNEL = ("L", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, TypeError, OverflowError, MemoryError)


class ImageFileReader(ImageReader):
    """Image files as a MONAI reader; arrays are [H, W] or [H, W, 3], never transposed.

    ``read`` only names the file and ``get_data`` decodes it: an error in ``read`` would make LoadImage fall back
    to MONAI's own readers, which accept what medtap refuses.
    """

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Whether the name is one of an image file."""
        return str(single_path(filename)).lower().endswith(SUFFIXES)

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> Path:  # noqa: ARG002
        """The path of the one file named by ``data``."""
        return single_path(data)

    def get_data(self, img: Path) -> tuple[np.ndarray, dict[str, Any]]:
        """The pixels as floating point and their meta data; raises as `read_image` does."""
        return array_and_meta(read_image(img))


def read_image(path: PathLike) -> Scan:
    """Read one image: EXIF rotation applied, palette and CMYK turned to RGB, alpha dropped.

    Returns:
        Scan of [H, W] or [H, W, 3] in uint8, or in the file's 16- or 32-bit or floating type.

    Raises:
        InputError: empty, truncated, several pages, of a depth that would be cut, not finite, or no image.
    """
    path = Path(path)
    check_file(path)
    if is_tiff(path):
        pixels = decode_tiff(path)
    else:
        with open_picture(path) as picture:
            pixels = _pixels(picture)
    check_finite(pixels, path)
    return Scan(pixels, Geometry(np.eye(4), (pixels.shape[0], pixels.shape[1])), path)


@contextmanager
def open_picture(path: Path) -> Iterator[Image.Image]:
    """A decoded, upright Pillow image of a PNG, JPEG or BMP file.

    Raises:
        InputError: as `read_image`.
    """
    _refuse_deep_colour(path)
    try:
        with Image.open(path, formats=_FORMATS) as stored:
            frames = 1 if stored.format == "MPO" else getattr(stored, "n_frames", 1)
            picture = ImageOps.exif_transpose(stored) if frames == 1 else None
    except Image.DecompressionBombError as error:
        raise InputError(
            "larger than medtap reads", file=path, expected=f"at most {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels",
            remedy="crop or scale it down",
        ) from error  # fmt: skip
    except _DECODING_ERRORS as error:
        raise InputError(
            "not a readable image",
            file=path,
            expected="a whole PNG, JPEG, BMP or TIFF file",
            found="a file that is truncated, damaged or of another kind",
            remedy="copy it again from its source",
        ) from error
    if picture is None:
        raise InputError("several frames", file=path, expected="one image", found=f"{frames} frames")
    yield picture


def _pixels(picture: Image.Image) -> np.ndarray:
    if picture.mode not in _SINGLE_CHANNEL:
        picture = picture.convert("L" if picture.mode in ("1", "LA", "La") else "RGB")
    pixels = np.asarray(picture)
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _refuse_deep_colour(path: Path) -> None:
    """Refuse 16-bit colour PNG, of which Pillow keeps the upper 8 bits only and says nothing."""
    with path.open("rb") as file:
        start = file.read(26)
    if start[:8] == b"\x89PNG\r\n\x1a\n" and len(start) == 26 and start[24] == 16 and start[25] != 0:
        raise InputError(
            "PNG of 16 bits a channel with colour or alpha",
            file=path,
            expected="8 bits a channel, or 16-bit grey",
            remedy="save it as 16-bit TIFF or as 8-bit PNG",
        )
