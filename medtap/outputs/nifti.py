"""Masks of volumes, as NIfTI on the grid of the volume they belong to."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

from medtap.errors import InputError, OutputError
from medtap.outputs.atomic import atomic_write
from medtap.outputs.labels import to_bytes

# Where the voxels lie, and nothing that could name a patient: no description, database name or extension.
_GEOMETRY_FIELDS = (
    "qform_code",
    "sform_code",
    "quatern_b",
    "quatern_c",
    "quatern_d",
    "qoffset_x",
    "qoffset_y",
    "qoffset_z",
    "srow_x",
    "srow_y",
    "srow_z",
    "xyzt_units",
)


def write_nifti_mask(labels: np.ndarray, path: str | Path, source: str | Path) -> None:
    """Write a label map as 8-bit NIfTI with the geometry of its source, atomically.

    The source's qform, sform, their codes and its voxel sizes are taken over field by field, so that every reader
    places the mask where it places the source, whichever of the two forms it goes by. No text of the source's header
    is copied.

    Args:
        labels: [X, Y, Z] on the source's grid as stored, labels 0..255.
        path: the file, ``.nii`` or ``.nii.gz``.
        source: the NIfTI file that the labels belong to.

    Raises:
        InputError: the source cannot be read as NIfTI.
        OutputError: the labels do not fit the source, the name is not NIfTI's, or the file cannot be written.
    """
    path = Path(path)
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise OutputError("the name is not a NIfTI file's", file=path, expected=".nii or .nii.gz", found=path.suffix)
    header = _read_header(Path(source))
    voxels = to_bytes(labels, 3, path)
    shape = header.get_data_shape()
    if voxels.shape != shape[:3]:
        raise OutputError(
            "the mask is not on its source's grid", file=path, expected=str(shape[:3]), found=str(voxels.shape)
        )
    image = _place(voxels, header)
    with atomic_write(path) as temporary:
        nib.save(image, temporary)


def _read_header(source: Path) -> nib.Nifti1Header:
    try:
        header = nib.load(source).header
    except (OSError, EOFError, ImageFileError) as error:
        raise InputError("the source cannot be read", file=source, expected="a NIfTI file") from error
    if not isinstance(header, nib.Nifti1Header):
        raise InputError("the source is not NIfTI", file=source, expected="NIfTI-1 or NIfTI-2")
    return header


def _place(voxels: np.ndarray, source: nib.Nifti1Header) -> nib.Nifti1Image:
    is_second = isinstance(source, nib.Nifti2Header)
    header = (nib.Nifti2Header if is_second else nib.Nifti1Header)()
    header.set_data_dtype(np.uint8)
    header.set_data_shape(voxels.shape)
    for field in _GEOMETRY_FIELDS:
        header[field] = source[field]
    header["pixdim"][:4] = source["pixdim"][:4]
    return (nib.Nifti2Image if is_second else nib.Nifti1Image)(voxels, None, header)
