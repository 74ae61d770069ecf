"""Masks of any kind -> labels 0 (background) to N on the grid of their image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from monai.config import PathLike
from PIL import Image

from medtap.data.dicom_masks import is_dicom_mask, read_dicom_labels
from medtap.data.images import SUFFIXES, open_picture
from medtap.data.readers import read_scan
from medtap.data.scan import Geometry, Scan, check_file
from medtap.data.tiff import is_tiff
from medtap.errors import InputError

LARGEST_LABEL = 255
_LARGEST_GUESSED_LABEL = 127  # without a list of classes, what lies above looks like grey
_GRID_TOLERANCE = 0.1  # of a voxel


def read_labels(
    mask_path: PathLike,
    image: Scan,
    *,
    threshold: float | None = None,
    resize: bool = False,
    classes: int | Sequence[str] | None = None,
) -> np.ndarray:
    """Labels of a mask on its image's own grid.

    Masks of only {0, 1}, {0, 255} or {0, 65535} are binary; other masks hold the labels themselves. Colour masks
    with equal channels are grey, palette images with colours hold labels as indices. DICOM SEG and RTSTRUCT are read by
    `medtap.data.dicom_masks.read_dicom_labels`.

    Args:
        mask_path: the mask.
        image: the image it belongs to.
        threshold: foreground (label 1) is what lies above it; None where the mask holds labels.
        resize: bring a 2D mask of another size to the image's, by the nearest pixel. Only for layouts that are
            known to republish images at another size.
        classes: number of classes N or their names; labels above are refused, and segments of other names left out.
            None where nobody knows.

    Returns:
        uint8 [H, W] or [X, Y, Z], the shape of the image as stored.

    Raises:
        InputError: unreadable, on another grid than the image, or of values that are not labels.
    """
    path = Path(mask_path)
    check_file(path)
    if is_dicom_mask(path):
        return read_dicom_labels(path, image, classes=classes, threshold=threshold)
    count = classes if classes is None or isinstance(classes, int) else len(classes)
    values, geometry = _values_and_geometry(path, mean_colours=threshold is not None)
    labels = labels_of(values, path, threshold=threshold, classes=count)
    if labels.ndim == 2 and resize and not image.is_volume:
        return resize_nearest(labels, image.geometry.shape)
    _check_grid(geometry, image, path)
    return labels


def labels_of(
    values: np.ndarray, path: Path | None = None, *, threshold: float | None = None, classes: int | None = None
) -> np.ndarray:
    """Labels, uint8 of the same shape, of the values of a mask; the arguments are those of `read_labels`.

    Raises:
        InputError: values that are not labels.
    """
    if threshold is not None:
        return (values > threshold).astype(np.uint8)
    found = np.unique(values)
    if _is_binary(found):
        return (values != 0).astype(np.uint8)
    whole = bool(np.all(np.mod(found, 1) == 0))
    limit = _LARGEST_GUESSED_LABEL if classes is None else min(classes, LARGEST_LABEL)
    if not whole or found[0] < 0 or found[-1] > limit:
        raise _not_labels(found, path, classes)
    return values.astype(np.uint8)


def resize_nearest(labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Labels [H, W] brought to another shape by the nearest pixel, centres aligned."""
    if labels.shape == tuple(shape):
        return labels
    rows, columns = (
        np.clip(((np.arange(new) + 0.5) * old / new).astype(np.int64), 0, old - 1)
        for old, new in zip(labels.shape, shape, strict=True)
    )
    return labels[np.ix_(rows, columns)]


def _is_binary(found: np.ndarray) -> bool:
    above = found[found != 0]
    return len(above) == 0 or (len(above) == 1 and float(above[0]) in (1.0, 255.0, 65535.0))


def _not_labels(found: np.ndarray, path: Path | None, classes: int | None) -> InputError:
    expected = "labels 0, 1, 2, ..." if classes is None else f"labels 0 to {classes}"
    shown = ", ".join(f"{value:g}" for value in found[:3])
    more = f", ..., {found[-1]:g}" if len(found) > 3 else ""
    return InputError(
        "mask values that are not labels",
        file=path,
        expected=f"{expected}, or only 0 and 255",
        found=f"{len(found)} values: {shown}{more}",
        remedy="for masks with soft edges give --mask-threshold, such as --mask-threshold 127; "
        "for more classes name each with --classes",
    )


def _values_and_geometry(path: Path, *, mean_colours: bool) -> tuple[np.ndarray, Geometry]:
    scan = None if path.name.lower().endswith(SUFFIXES) and not is_tiff(path) else read_scan(path)
    values = _picture_values(path) if scan is None else scan.pixels
    if values.ndim == 3 and (scan is None or scan.is_colour):
        values = _grey(values, path, mean_colours=mean_colours)
    return values, Geometry(np.eye(4), values.shape) if scan is None else scan.geometry


def _picture_values(path: Path) -> np.ndarray:
    with open_picture(path) as picture:
        _check_opaque(picture, path)
        if picture.mode == "P" and _has_colours(picture):
            return np.asarray(picture)
        if picture.mode in ("1", "LA"):
            return np.asarray(picture.convert("L"))
        return np.asarray(picture if picture.mode in ("L", "F", "I", "I;16", "I;16B") else picture.convert("RGB"))


def _has_colours(picture: Image.Image) -> bool:
    palette = np.asarray(picture.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
    used = palette[np.unique(np.asarray(picture)).clip(0, len(palette) - 1)]
    return bool((used != used[:, :1]).any())


def _check_opaque(picture: Image.Image, path: Path) -> None:
    """Refuse masks whose transparency varies: it may be the mask, or may not."""
    alpha = picture.getchannel("A") if "A" in picture.getbands() else None
    if alpha is not None and np.ptp(np.asarray(alpha)) > 0:
        raise InputError(
            "a mask with transparent parts",
            file=path,
            expected="an opaque mask",
            found="an alpha channel that varies",
            remedy="save it as grey without alpha",
        )


def _grey(values: np.ndarray, path: Path, *, mean_colours: bool) -> np.ndarray:
    if (values == values[..., :1]).all():
        return values[..., 0]
    if mean_colours:
        return values.mean(axis=-1)
    raise InputError(
        "a mask in colours",
        file=path,
        expected="one channel of labels, or only black and white",
        found="channels that differ",
        remedy="save labels as grey values, or give --mask-threshold to take what is brighter as foreground",
    )


def _check_grid(mask: Geometry, image: Scan, path: Path) -> None:
    remedy = "pair masks with their own images, or name a layout that is known to differ with --layout"
    if tuple(mask.shape) != tuple(image.geometry.shape):
        raise InputError(
            "mask and image of different shape",
            file=path,
            expected=f"{tuple(image.geometry.shape)} as in {image.path.name}",
            found=f"{tuple(mask.shape)}",
            remedy=remedy,
        )
    if image.is_volume and image.geometry.distance_to(mask) > _GRID_TOLERANCE:
        raise InputError(
            "mask and image of different affine",
            file=path,
            expected=f"the position and orientation of {image.path.name}",
            found="another affine",
            remedy=remedy,
        )
