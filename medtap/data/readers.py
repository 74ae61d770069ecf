"""Which reader reads which file: the one table that a new format adds a line to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import PathLike
from monai.data.image_reader import ImageReader

from medtap.data import dicom, dicom_file, images, nifti
from medtap.data.scan import Scan, array_and_meta, paths_of
from medtap.errors import InputError

_READERS: dict[tuple[str, ...], Callable[[Path], Scan]] = {
    images.SUFFIXES: images.read_image,
    nifti.SUFFIXES: nifti.read_nifti,
    dicom_file.SUFFIXES: dicom.read_dicom,
}

SUFFIXES: tuple[str, ...] = tuple(suffix for suffixes in _READERS for suffix in suffixes)
"""Endings of the names, in lower case, of the files that medtap reads."""


def read_scan(path: PathLike | Sequence[PathLike]) -> Scan:
    """Read any image or volume that medtap knows.

    Args:
        path: a file; for DICOM also a folder of one series, or the files of a series.

    Raises:
        InputError: of a format without a reader, or refused by its reader.
    """
    paths = paths_of(path)
    first = paths[0]
    if len(paths) > 1 or first.is_dir():
        return dicom.read_dicom(paths)
    for suffixes, read in _READERS.items():
        if first.name.lower().endswith(suffixes):
            return read(first)
    if dicom_file.is_dicom(first):
        return dicom.read_dicom(first)
    expected = f"one of {', '.join(SUFFIXES)}, or DICOM under any name"
    raise InputError("no reader for this kind of file", file=first, expected=expected)


def is_readable(path: Path) -> bool:
    """Whether medtap has a reader for a file, by its name or, where that says nothing, by its first bytes."""
    return bool(split_suffix(path)[1]) or dicom_file.is_dicom(path)


def split_suffix(path: Path) -> tuple[str, str]:
    """Name without its suffix, and the suffix: ``("a", ".nii.gz")``; no suffix where medtap reads no such file."""
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if path.name.lower().endswith(suffix) and len(path.name) > len(suffix):
            return path.name[: -len(suffix)], path.name[-len(suffix) :]
    return path.name, ""


class ScanReader(ImageReader):
    """Every file medtap reads, as one MONAI reader: ``LoadImaged(keys="image", reader=ScanReader(), ...)``.

    Name it explicitly in every LoadImaged. ``read`` only names the file and ``get_data`` decodes it: an error in
    ``read`` would make LoadImage fall back to MONAI's own readers, which accept what medtap refuses.
    """

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Whether medtap reads files of such a name."""
        return all(path.is_dir() or is_readable(path) for path in paths_of(filename))

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> tuple[Path, ...]:  # noqa: ARG002
        """The paths named by ``data``: one file or folder, or the files of a series."""
        return paths_of(data)

    def get_data(self, img: tuple[Path, ...]) -> tuple[np.ndarray, dict[str, Any]]:
        """The pixels as floating point, image [H, W(, 3)] or volume [X, Y, Z], and their meta data.

        Raises:
            InputError: as `read_scan`.
        """
        return array_and_meta(read_scan(img))
