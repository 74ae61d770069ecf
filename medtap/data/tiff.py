"""TIFF images through tifffile, which keeps every bit depth where Pillow cuts or wraps it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import cast

import numpy as np
import tifffile
from PIL import Image, ImageOps
from tifffile import PHOTOMETRIC, TiffFileError, TiffPage

from medtap.errors import InputError

_MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_LARGEST_PIXELS = 2**28
_DECODING_ERRORS = (TiffFileError, OSError, ValueError, TypeError, IndexError, KeyError, RuntimeError, struct.error)


def is_tiff(path: Path) -> bool:
    """Whether a file starts as TIFF does, whatever its name."""
    with path.open("rb") as file:
        return file.read(4) in _MAGIC


def decode_tiff(path: Path) -> np.ndarray:
    """Pixels [H, W] or [H, W, 3] of a one-page TIFF, upright, without alpha, in the stored type.

    Raises:
        InputError: several pages, larger than medtap reads, compressed by a codec that is not installed, of
            channels that are neither grey, palette, RGB nor CMYK, or damaged.
    """
    try:
        with tifffile.TiffFile(path) as file:
            return _decode_page(file, path)
    except _DECODING_ERRORS as error:
        raise InputError(
            "not a readable TIFF file",
            file=path,
            expected="a whole TIFF file of one page",
            found="a file that is truncated, damaged or compressed in a way medtap does not read",
            remedy="save it uncompressed, or as PNG",
        ) from error


def _decode_page(file: tifffile.TiffFile, path: Path) -> np.ndarray:
    if len(file.pages) != 1:
        raise InputError(
            "several pages", file=path, expected="one image", found=f"{len(file.pages)} pages",
            remedy="save each page as a file of its own",
        )  # fmt: skip
    page = cast("TiffPage", file.pages[0])
    if page.imagedepth != 1 or page.size > 4 * _LARGEST_PIXELS or page.imagewidth * page.imagelength > _LARGEST_PIXELS:
        raise InputError(
            "larger than medtap reads", file=path, expected=f"one plane of at most {_LARGEST_PIXELS} pixels",
            found=f"{page.imagewidth} x {page.imagelength}", remedy="crop or scale it down",
        )  # fmt: skip
    _check_strips(page, file.filehandle.size, path)
    try:
        return _upright(_colours(page, page.asarray(), path), _orientation(page))
    except ValueError as error:
        if "imagecodecs" in str(error) and page.dtype == np.uint8:
            return _by_pillow(path)
        raise


def _check_strips(page: TiffPage, size: int, path: Path) -> None:
    """Refuse pieces that end after the file does: they would be read as zeros."""
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if not ends or max(ends) > size:
        raise InputError("truncated", file=path, expected=f"{max(ends, default=0)} bytes", found=f"{size} bytes")


def _by_pillow(path: Path) -> np.ndarray:
    """8-bit pixels of a compression that tifffile needs the package imagecodecs for, and Pillow does not."""
    with Image.open(path, formats=("TIFF",)) as stored:
        picture = ImageOps.exif_transpose(stored)
        return np.asarray(picture if picture.mode == "L" else picture.convert("RGB"))


def _orientation(page: TiffPage) -> int:
    tag = page.tags.get("Orientation")
    return 1 if tag is None else int(tag.value)


def _colours(page: TiffPage, pixels: np.ndarray, path: Path) -> np.ndarray:
    """Grey [H, W] or RGB [H, W, 3] of what the page holds."""
    if page.axes.startswith("S"):
        pixels = np.moveaxis(pixels, 0, -1)
    pixels = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder("="), copy=False))
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    kind, channels = page.photometric, 1 if pixels.ndim == 2 else pixels.shape[-1]
    if kind == PHOTOMETRIC.PALETTE and page.colormap is not None and channels == 1:
        return (page.colormap.T[pixels] >> 8).astype(np.uint8)
    if kind in (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE) and channels <= 2:
        grey = pixels if pixels.ndim == 2 else pixels[..., 0]
        return _inverted(grey) if kind == PHOTOMETRIC.MINISWHITE else grey
    if kind in (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR) and channels in (3, 4):
        return pixels[..., :3]
    if kind == PHOTOMETRIC.SEPARATED and channels == 4 and pixels.dtype == np.uint8:
        return np.asarray(Image.frombytes("CMYK", pixels.shape[1::-1], pixels.tobytes()).convert("RGB"))
    raise InputError(
        "TIFF channels that medtap does not read",
        file=path,
        expected="grey, palette, RGB or 8-bit CMYK",
        found=f"{channels} channels of photometric interpretation {int(kind)}",
    )


def _inverted(pixels: np.ndarray) -> np.ndarray:
    """Grey whose white is stored as 0, turned so that larger is brighter."""
    if pixels.dtype.kind == "u":
        return np.iinfo(pixels.dtype).max - pixels
    return ~pixels if pixels.dtype.kind == "i" else -pixels


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo the TIFF/EXIF orientation 1 to 8 (TIFF 6.0, tag 274)."""
    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, 0, 1)
    rows = slice(None, None, -1 if orientation in (3, 4, 7, 8) else 1)
    columns = slice(None, None, -1 if orientation in (2, 3, 6, 7) else 1)
    return np.ascontiguousarray(pixels[rows, columns])
