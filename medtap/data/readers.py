"""Which reader reads which file: the one table that a new format adds a line to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import PathLike
from monai.data.image_reader import ImageReader

from medtap.data import images, nifti
from medtap.data.scan import Scan, array_and_meta, single_path
from medtap.errors import InputError

_READERS: dict[tuple[str, ...], Callable[[Path], Scan]] = {
    images.SUFFIXES: images.read_image,
    nifti.SUFFIXES: nifti.read_nifti,
}

SUFFIXES: tuple[str, ...] = tuple(suffix for suffixes in _READERS for suffix in suffixes)
"""Endings of the names, in lower case, of the files that medtap reads."""


def read_scan(path: PathLike) -> Scan:
    """Read any image or volume that medtap knows.

    Raises:
        InputError: of a format without a reader, or refused by its reader.
    """
    path = Path(path)
    for suffixes, read in _READERS.items():
        if path.name.lower().endswith(suffixes):
            return read(path)
    raise InputError("no reader for this kind of file", file=path, expected=f"one of {', '.join(SUFFIXES)}")


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
        return bool(split_suffix(single_path(filename))[1])

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> Path:  # noqa: ARG002
        """The path of the one file named by ``data``."""
        return single_path(data)

    def get_data(self, img: Path) -> tuple[np.ndarray, dict[str, Any]]:
        """The pixels as floating point, image [H, W(, 3)] or volume [X, Y, Z], and their meta data.

        Raises:
            InputError: as `read_scan`.
        """
        return array_and_meta(read_scan(img))
