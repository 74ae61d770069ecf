"""NIfTI volumes (.nii, .nii.gz), checked by their header before anything of their size is allocated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
from monai.config import PathLike
from monai.data.image_reader import ImageReader

from medtap.data.nifti_header import DECODING_ERRORS, Shape, checked_geometry, undecodable
from medtap.data.scan import Scan, array_and_meta, check_file, check_finite, single_path
from medtap.errors import InputError

SUFFIXES = (".nii", ".nii.gz")


class NiftiReader(ImageReader):
    """NIfTI as a MONAI reader: ``LoadImaged(keys="image", reader=NiftiReader(), ensure_channel_first=True)``.

    ``read`` only names the file and ``get_data`` decodes it: an error in ``read`` would make LoadImage fall back
    to MONAI's own readers, which accept what medtap refuses.
    """

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Whether the name is one of a NIfTI file."""
        return str(single_path(filename)).lower().endswith(SUFFIXES)

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> Path:  # noqa: ARG002
        """The path of the one file named by ``data``."""
        return single_path(data)

    def get_data(self, img: Path) -> tuple[np.ndarray, dict[str, Any]]:
        """The voxels [X, Y, Z] as floating point and their meta data; raises as `read_nifti` does."""
        return array_and_meta(read_nifti(img))


def read_nifti(path: PathLike) -> Scan:
    """Read a scalar NIfTI volume; images of two axes become one plane, further axes of length 1 are dropped.

    Returns:
        Scan of [X, Y, Z] in the stored type, or float64 where the header scales the values.

    Raises:
        InputError: not a NIfTI file, truncated, colour or complex voxels, more than three axes, unusable or
            conflicting affines, NaN or infinite voxels, or larger than medtap reads.
    """
    path = Path(path)
    geometry = checked_geometry(path, check_file(path))
    voxels = _voxels(path, cast("Shape", geometry.shape))
    check_finite(voxels, path)
    _refuse_channels(voxels, geometry.affine, path)
    return Scan(voxels, geometry, path)


def _voxels(path: Path, shape: Shape) -> np.ndarray:
    try:
        stored = np.asanyarray(cast("nib.Nifti1Image", nib.load(path)).dataobj).reshape(shape, order="F")
    except DECODING_ERRORS as error:
        raise undecodable(path) from error
    dtype = np.dtype(np.float64) if stored.dtype.itemsize > 8 else stored.dtype.newbyteorder("=")
    return stored.astype(dtype, copy=False)


def _refuse_channels(voxels: np.ndarray, affine: np.ndarray, path: Path) -> None:
    """Refuse colour channels that were saved as the planes of a volume: no header tells the two apart."""
    made_up = np.array_equal(np.abs(affine[:3, :3]), np.eye(3))
    if voxels.dtype == np.uint8 and voxels.shape[2] in (3, 4) and made_up and len(np.unique(voxels)) > 32:
        raise InputError(
            "a volume that looks like a colour image",
            file=path,
            expected="a scalar volume",
            found=f"{voxels.shape[2]} planes of 8 bits without geometry",
            remedy="save colour images as PNG or TIFF",
        )
