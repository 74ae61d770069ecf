"""What a NIfTI header announces, judged before anything of its size is allocated."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import IO, cast

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from medtap.data.scan import Geometry, voxel_sizes
from medtap.errors import InputError

Shape = tuple[int, int, int]

DECODING_ERRORS = (
    ImageFileError, HeaderDataError, WrapStructError, OSError, EOFError, zlib.error, ValueError, TypeError, KeyError,
)  # fmt: skip
"""What damaged NIfTI files make nibabel and gzip raise."""

_LARGEST_BYTES = 2**32  # of voxels, as stored
_LARGEST_EXTENSION = 2**24
_DEFLATE_LIMIT = 1032  # no deflate stream expands further than this
_SUSPICIOUS_BYTES, _SUSPICIOUS_RATIO = 2**28, 200
_MILLIMETRES = {"meter": 1000.0, "micron": 0.001}


def checked_geometry(path: Path, size: int) -> Geometry:
    """The grid [X, Y, Z] of a NIfTI file of ``size`` bytes, from its header alone.

    Images of one or two axes become one plane, further axes of length 1 are dropped.

    Raises:
        InputError: as `medtap.data.nifti.read_nifti`, but for the voxels' values.
    """
    header = _peek(path)
    shape = _spatial_shape(header, path)
    _check_numbers(header, path)
    _check_size(header, size, path)
    affine = _affine(header, shape, path)
    x, y, z = voxel_sizes(affine).tolist()
    return Geometry(affine, shape, (x, y, z))


def undecodable(path: Path) -> InputError:
    """The error for a file that is damaged or of another kind."""
    return InputError(
        "not a readable NIfTI file",
        file=path,
        expected="a whole .nii or .nii.gz file of numbers",
        found="a file that is truncated, damaged or of another kind",
        remedy="copy it again from its source",
    )


def _open(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb")


def _peek(path: Path) -> nib.Nifti1Header:
    """The header alone, without its extensions."""
    try:
        with _open(path) as file:
            block = file.read(540)
        kind = nib.Nifti2Header if block[:4] in (b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c") else nib.Nifti1Header
        header = kind(block[: kind.template_dtype.itemsize], check=False)
        if bytes(header["magic"])[:2] not in (b"n+", b"n\x00") or int(header["sizeof_hdr"]) not in (348, 540):
            raise ImageFileError("no NIfTI signature")
        header.get_data_dtype()
    except DECODING_ERRORS as error:
        raise undecodable(path) from error
    return header


def _spatial_shape(header: nib.Nifti1Header, path: Path) -> Shape:
    axes = int(header["dim"][0])
    shape = [int(size) for size in header["dim"][1 : axes + 1]]
    if not 1 <= axes <= 7 or min(shape) < 1:
        raise InputError("impossible dimensions in the header", file=path, expected="1 or more along each axis")
    if any(size > 1 for size in shape[3:]):
        raise InputError(
            "more than three axes",
            file=path,
            expected="one 3D volume",
            found=f"shape {tuple(shape)}",
            remedy="split the series into volumes",
        )
    x, y, z = (*shape, 1, 1)[:3]
    return x, y, z


def _check_numbers(header: nib.Nifti1Header, path: Path) -> None:
    dtype = header.get_data_dtype()
    if dtype.names or dtype.kind not in "iuf":
        raise InputError(
            "colour or complex voxels",
            file=path,
            expected="one number a voxel",
            found=f"NIfTI data type {int(header['datatype'])}",
            remedy="save colour images as PNG or TIFF",
        )


def _check_size(header: nib.Nifti1Header, size: int, path: Path) -> None:
    stored = math.prod(header.get_data_shape()) * header.get_data_dtype().itemsize
    offset = float(header["vox_offset"])
    if stored > _LARGEST_BYTES or not 0 <= offset <= _LARGEST_EXTENSION:
        raise InputError(
            "larger than medtap reads", file=path, expected=f"at most {_LARGEST_BYTES >> 30} GiB of voxels",
            found=f"a header that announces {stored} bytes after {offset:.0f}", remedy="crop or resample it",
        )  # fmt: skip
    if path.suffix.lower() != ".gz" and size < offset + stored:
        raise InputError(
            "truncated", file=path, expected=f"{int(offset) + stored} bytes by its header", found=f"{size} bytes"
        )
    if path.suffix.lower() == ".gz":
        _check_ratio(stored, size, path)


def _check_ratio(stored: int, size: int, path: Path) -> None:
    ratio = stored / size
    if ratio > _DEFLATE_LIMIT or (stored > _SUSPICIOUS_BYTES and ratio > _SUSPICIOUS_RATIO):
        raise InputError(
            "a compressed file too small for the volume that its header announces",
            file=path,
            expected=f"an expansion of at most {_SUSPICIOUS_RATIO} times",
            found=f"{ratio:.0f} times",
            remedy="if you trust it, decompress it to .nii first",
        )


def _affine(header: nib.Nifti1Header, shape: Shape, path: Path) -> np.ndarray:
    """[4, 4] voxel index -> RAS mm; the sform, the qform or the bare voxel sizes, in this order."""
    try:
        coded = [
            form for form in (header.get_sform(coded=True)[0], header.get_qform(coded=True)[0]) if form is not None
        ]
        forms = [_checked(form, path) for form in coded or [header.get_best_affine()]]
    except (HeaderDataError, ValueError) as error:
        raise InputError("an unusable affine", file=path, expected="a rotation and voxel sizes") from error
    grid = Geometry(forms[0], shape)
    if grid.distance_to(Geometry(forms[-1], shape)) > 0.5:
        raise InputError(
            "conflicting affines",
            file=path,
            expected="sform and qform that agree",
            found="a difference of more than half a voxel",
            remedy="set both to the right one, or the wrong one's code to 0",
        )
    return np.diag([_millimetres(header)] * 3 + [1.0]) @ forms[0]


def _checked(affine: np.ndarray, path: Path) -> np.ndarray:
    affine = np.asarray(affine, dtype=np.float64)
    singular = not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12
    if singular or (voxel_sizes(affine) < 1e-6).any():
        raise InputError("an unusable affine", file=path, expected="three independent axes", found="a singular matrix")
    return affine


def _millimetres(header: nib.Nifti1Header) -> float:
    try:
        return _MILLIMETRES.get(header.get_xyzt_units()[0], 1.0)
    except KeyError:
        return 1.0
