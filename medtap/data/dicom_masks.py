"""DICOM SEG and RTSTRUCT -> labels on the grid of an image, by where they lie and not by their order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medtap.data.dicom_contours import contour_masks
from medtap.data.dicom_file import Kind, is_dicom, kind_of, read_dataset, reading
from medtap.data.dicom_names import choose_labels, regions
from medtap.data.dicom_segments import elsewhere, segment_masks
from medtap.data.scan import Scan
from medtap.errors import InputError


def is_dicom_mask(path: Path) -> bool:
    """Whether a file is a SEG or a structure set.

    Raises:
        InputError: it is DICOM, and damaged.
    """
    if not is_dicom(path):
        return False
    tags = ("SOPClassUID", "Rows", "StructureSetROISequence")
    return kind_of(read_dataset(path, pixels=False, tags=tags)) in (Kind.SEGMENTATION, Kind.STRUCTURES)


def read_dicom_labels(
    path: Path, image: Scan, *, classes: int | Sequence[str] | None = None, threshold: float | None = None
) -> np.ndarray:
    """Labels of a SEG or structure set on the grid of its image.

    Where segments overlap, the one of the higher number counts (a tumour is numbered after the organ it lies in).
    Contours of one region that lie in each other cut holes. What the mask does not cover is background.

    Args:
        path: the mask.
        image: the image.
        classes: names of the labels 1 to N, or N; segments of these names are taken, in any order and number.
        threshold: of fractional segments, 0 to 1 (a half where None); values above 1 are out of the file's maximum.

    Returns:
        uint8, of the shape of the image as stored.

    Raises:
        InputError: damaged, of other classes, nowhere on the image, in planes of another orientation, or a segment
            that others hide.
    """
    dataset = read_dataset(path)
    with reading(path):
        chosen = choose_labels(regions(dataset), classes, path)
        is_seg = kind_of(dataset) is Kind.SEGMENTATION
        masks = (
            segment_masks(dataset, chosen, image, threshold, path) if is_seg else contour_masks(dataset, chosen, image)
        )
        labels = np.zeros(image.geometry.shape, np.uint8)
        found = [number for number, mask in masks if _lay(labels, mask, chosen[number])]
    if not is_seg and not found:
        raise elsewhere(path, image)
    _check_hidden({chosen[number] for number in found}, labels, path)
    return labels


def _lay(labels: np.ndarray, mask: np.ndarray, label: int) -> bool:
    labels[mask] = label
    return bool(mask.any())


def _check_hidden(found: set[int], labels: np.ndarray, path: Path) -> None:
    hidden = found - set(np.unique(labels).tolist())
    if hidden:
        raise InputError(
            "a segment that others cover", file=path, expected="segments of higher number inside those of lower",
            found=f"nothing left of label {min(hidden)}", remedy="name the segments that are meant with --classes",
        )  # fmt: skip
