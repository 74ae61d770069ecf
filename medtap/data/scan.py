"""Scan: the pixels of one file as they are stored, with what places them in space."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from monai.config import PathLike
from monai.data.meta_tensor import MetaTensor
from monai.utils import ImageMetaKey, MetaKeys, SpaceKeys

from medtap.errors import InputError

EIGHT_BIT = "eight_bit"
"""Key of the meta data that is true where a 2D image has 8 bits a channel: its range is 0 to 255 whatever it shows."""

SPACING = "spacing_mm"
"""Key of the meta data that holds the distances of neighbours in mm, not a number where the file does not say."""

WINDOW = "window"
"""Key of the meta data that holds what is shown as black and as white, not a number where the file does not say."""

INVERTED = "inverted"
"""Key of the meta data that is true where the file stored bright as dark (DICOM's MONOCHROME1)."""

FILES = "files"
"""Key of the meta data that holds the files of a series in the order of its slices; empty for one file."""


@dataclass(frozen=True, eq=False)
class Geometry:
    """Where the elements of an array lie.

    Args:
        affine: [4, 4] float64, index of the array as stored -> RAS mm; the identity for images without geometry.
        shape: spatial shape as stored, (H, W) or (X, Y, Z).
        spacing_mm: distance of neighbours along each axis, or None where the file does not say.
    """

    affine: np.ndarray
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...] | None = None

    @property
    def axcodes(self) -> str:
        """Directions that the three axes run to, such as ``"LPS"`` (nearest ones where oblique)."""
        return "".join(nib.orientations.aff2axcodes(self.affine))

    def distance_to(self, other: Geometry) -> float:
        """Largest distance, in units of this grid's smallest spacing, between the same corners of two grids."""
        corners = np.array(np.meshgrid(*[(0, size - 1) for size in (*self.shape, 1, 1)[:3]])).reshape(3, -1)
        moved = (self.affine - other.affine)[:3] @ np.vstack([corners, np.ones((1, corners.shape[1]))])
        return float(np.linalg.norm(moved, axis=0).max() / voxel_sizes(self.affine).min())


@dataclass(frozen=True, eq=False)
class Scan:
    """One image or volume as its file stores it (images upright, where EXIF says how they were held).

    Args:
        pixels: image [H, W] or [H, W, 3], row first; volume [X, Y, Z]. Finite, in the file's own type and range.
        geometry: where the pixels lie.
        path: the file, or the first one of a series.
        files: the files of a series in the order of its slices; empty for formats of one file.
        window: (low, high), what the file asks to be shown as black and as white; None where it does not.
        inverted: whether the file stored bright as dark; the pixels here are brighter where larger.
    """

    pixels: np.ndarray
    geometry: Geometry
    path: Path
    files: tuple[Path, ...] = ()
    window: tuple[float, float] | None = None
    inverted: bool = False

    @property
    def is_volume(self) -> bool:
        """Whether the scan has three spatial axes."""
        return len(self.geometry.shape) == 3

    @property
    def is_colour(self) -> bool:
        """Whether the last axis of the pixels holds red, green and blue."""
        return self.pixels.ndim > len(self.geometry.shape)

    @property
    def eight_bit(self) -> bool:
        """Whether this is a 2D image whose full range is 0 to 255."""
        return not self.is_volume and self.pixels.dtype == np.uint8


def voxel_sizes(affine: np.ndarray) -> np.ndarray:
    """Lengths in mm of the steps along the three axes of a [4, 4] affine."""
    return np.sqrt((np.asarray(affine, dtype=np.float64)[:3, :3] ** 2).sum(axis=0))


def array_and_meta(scan: Scan) -> tuple[np.ndarray, dict[str, Any]]:
    """What MONAI's LoadImage takes from a reader: the array as stored, and its meta data.

    The array is float32 where that loses nothing that shows, else float64, so that close values of large size are
    never rounded together. No header text, name or date of the file is passed on.
    """
    return scan.pixels.astype(_float_type(scan.pixels)), {
        MetaKeys.AFFINE: scan.geometry.affine.copy(),
        MetaKeys.ORIGINAL_AFFINE: scan.geometry.affine.copy(),
        MetaKeys.SPATIAL_SHAPE: np.asarray(scan.geometry.shape),
        MetaKeys.SPACE: SpaceKeys.RAS,
        MetaKeys.ORIGINAL_CHANNEL_DIM: -1 if scan.is_colour else float("nan"),
        SPACING: np.asarray(scan.geometry.spacing_mm or (np.nan,) * len(scan.geometry.shape)),
        EIGHT_BIT: scan.eight_bit,
        WINDOW: np.asarray(scan.window or (np.nan, np.nan)),
        INVERTED: scan.inverted,
        FILES: tuple(str(file) for file in scan.files),
    }


def scan_tensor(scan: Scan) -> MetaTensor:
    """A scan as LoadImaged(ensure_channel_first=True) gives it: image [1 or 3, H, W], volume [1, X, Y, Z]."""
    array, meta = array_and_meta(scan)
    array = np.moveaxis(array, -1, 0) if scan.is_colour else array[None]
    meta[MetaKeys.ORIGINAL_CHANNEL_DIM] = -1 if scan.is_colour else float("nan")
    return MetaTensor(np.ascontiguousarray(array), meta=meta)


def spacing_of(tensor: MetaTensor) -> tuple[float, ...] | None:
    """Distances of neighbours in mm along each stored axis, from a tensor's meta data; None where not known."""
    spacing = tuple(float(step) for step in tensor.meta[SPACING])
    return spacing if np.isfinite(spacing).all() else None


def scan_of(image: MetaTensor) -> Scan:
    """The inverse of `scan_tensor`: an image [1 or 3, H, W] or volume [1, X, Y, Z] that is still as it was stored."""
    pixels = np.asarray(image.as_tensor().cpu())
    affine = np.asarray(image.meta[MetaKeys.ORIGINAL_AFFINE])
    geometry = Geometry(affine, tuple(image.shape[1:]), spacing_of(image))
    path = Path(image.meta.get(ImageMetaKey.FILENAME_OR_OBJ, ""))
    files = tuple(Path(file) for file in image.meta.get(FILES, ()))
    return Scan(
        pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1), geometry, path, files, window_of(image.meta),
        bool(image.meta.get(INVERTED, False)),
    )  # fmt: skip


def window_of(meta: Mapping[Any, Any]) -> tuple[float, float] | None:
    """What a scan's meta data asks to be shown as black and as white, or None."""
    low, high = (float(level) for level in meta.get(WINDOW, (np.nan, np.nan)))
    return (low, high) if np.isfinite([low, high]).all() else None


def paths_of(data: Sequence[PathLike] | PathLike) -> tuple[Path, ...]:
    """The paths that MONAI handed to a reader: one, or those of a series.

    Raises:
        InputError: there is none.
    """
    paths = (Path(data),) if isinstance(data, (str, os.PathLike)) else tuple(Path(path) for path in data)
    if not paths:
        raise InputError("no file for an image", expected="a file, or the files of a series")
    return paths


def single_path(data: Sequence[PathLike] | PathLike) -> Path:
    """The one path that MONAI handed to a reader.

    Raises:
        InputError: several files were given for one image.
    """
    if isinstance(data, (str, os.PathLike)):
        return Path(data)
    if len(data) != 1:
        raise InputError("several files for one image", expected="one file", found=f"{len(data)} files")
    return Path(data[0])


def check_file(path: Path) -> int:
    """Size of a file in bytes.

    Raises:
        InputError: it does not exist, is no file, may not be read or is empty.
    """
    if not path.is_file():
        raise InputError("no such file", file=path)
    if not os.access(path, os.R_OK):
        raise InputError("the file may not be read", file=path, expected="permission to read it")
    size = path.stat().st_size
    if size == 0:
        raise InputError("the file is empty", file=path, remedy="copy it again from its source")
    return size


def check_finite(pixels: np.ndarray, path: Path) -> None:
    """Refuse pixels that are not numbers or that float32 cannot hold.

    Raises:
        InputError: NaN, infinite or larger than float32's range.
    """
    if pixels.dtype.kind != "f":
        return
    with np.errstate(over="ignore"):
        bad = int(pixels.size - np.isfinite(pixels.astype(np.float32, copy=False)).sum())
    if bad:
        raise InputError(
            "pixels that are NaN or infinite", file=path, expected="finite numbers", found=f"{bad} that are not"
        )


def _float_type(pixels: np.ndarray) -> type[np.floating]:
    if pixels.dtype.itemsize <= 2:
        return np.float32
    low, high = pixels.min().item(), pixels.max().item()
    if pixels.dtype.kind == "f":
        limit = float(np.finfo(np.float32).max) if pixels.dtype.itemsize == 4 else 2**12 * (high - low)
    else:
        limit = 2**24
    return np.float32 if max(abs(low), abs(high)) <= limit else np.float64
