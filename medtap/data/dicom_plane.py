"""Where the frames of DICOM objects lie, and how slices make a volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset

from medtap.errors import InputError

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SAME_DIRECTION = 1e-3  # of a unit vector
_SAME_SPACING = 1e-3  # of a step
_SAME_POSITION = 1e-2  # of the usual distance of slices
_UNEVEN = 0.25  # of the usual distance of slices
_GAP = 1.5


@dataclass(frozen=True, eq=False)
class Plane:
    """One frame in the patient, in DICOM's LPS mm (PS3.3 C.7.6.2).

    Args:
        position: [3], the centre of the first pixel.
        across: [3], unit vector along a row, in the direction of increasing column.
        down: [3], unit vector along a column, in the direction of increasing row.
        spacing: distance of rows, distance of columns.
        thickness: of the slice, where known, or the distance to the next.
        shape: rows, columns.
        source: the file, for messages.
    """

    position: np.ndarray
    across: np.ndarray
    down: np.ndarray
    spacing: tuple[float, float]
    thickness: float
    shape: tuple[int, int]
    source: Path

    @property
    def normal(self) -> np.ndarray:
        """Unit vector [3] that completes across and down to a right-handed system."""
        return np.cross(self.across, self.down)

    def affine(self, step: np.ndarray | None = None) -> np.ndarray:
        """[4, 4] (column, row, slice) -> RAS mm; ``step`` [3] leads to the next slice, the thickness where None."""
        matrix = np.eye(4)
        matrix[:3, 0] = self.across * self.spacing[1]
        matrix[:3, 1] = self.down * self.spacing[0]
        matrix[:3, 2] = self.normal * self.thickness if step is None else step
        matrix[:3, 3] = self.position
        return _LPS_TO_RAS @ matrix


def frame_planes(dataset: Dataset, path: Path) -> list[Plane] | None:
    """The plane of each frame, or None where the object does not place them in a patient.

    Raises:
        InputError: a position, orientation or spacing that cannot be.
    """
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence")
    if not per_frame:
        plane = _plane([dataset], dataset, path)
        single = int(dataset.get("NumberOfFrames") or 1) == 1
        return [plane] if plane is not None and single else None
    shared = list(dataset.get("SharedFunctionalGroupsSequence") or [])
    planes = [_plane([frame, *shared], dataset, path) for frame in per_frame]
    placed = [plane for plane in planes if plane is not None]
    return placed if len(placed) == len(planes) else None


def stack_planes(planes: Sequence[Plane]) -> tuple[list[int], np.ndarray]:
    """Order slices along their normal.

    Returns:
        Indices into ``planes``, and the affine [4, 4] (column, row, slice) -> RAS mm of the volume in that order.

    Raises:
        InputError: slices of different grids, two at one position, a gap, or uneven distances.
    """
    first = planes[0]
    for other in planes[1:]:
        _check_alike(first, other)
    along = np.array([plane.position @ first.normal for plane in planes])
    order = [int(index) for index in np.argsort(along, kind="stable")]
    ordered = [planes[index] for index in order]
    if len(ordered) == 1:
        return order, first.affine()
    _check_distances(ordered, np.diff(along[order]))
    step = (ordered[-1].position - ordered[0].position) / (len(ordered) - 1)
    return order, ordered[0].affine(step)


def in_plane_spacing(dataset: Dataset) -> tuple[float, float] | None:
    """Distance of rows and of columns in mm of an image, at the detector where only that is known."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        found = dataset.get(keyword)
        if found is not None and len(found) == 2 and min(float(step) for step in found) > 0:
            return float(found[0]), float(found[1])
    return None


def _plane(groups: Sequence[Dataset], dataset: Dataset, path: Path) -> Plane | None:
    position = _macro(groups, "PlanePositionSequence", "ImagePositionPatient")
    orientation = _macro(groups, "PlaneOrientationSequence", "ImageOrientationPatient")
    measures = _macro(groups, "PixelMeasuresSequence", "PixelSpacing")
    if not position or not orientation or not measures:
        return None
    thickness = _macro(groups, "PixelMeasuresSequence", "SpacingBetweenSlices") or _macro(
        groups, "PixelMeasuresSequence", "SliceThickness"
    )
    values = np.array([float(value) for value in [*position, *orientation, *measures]])
    if len(values) != 11 or not np.isfinite(values).all():
        raise _impossible(path)
    return _checked(values, float(thickness or 0), (int(dataset.Rows), int(dataset.Columns)), path)


def _macro(groups: Sequence[Dataset], sequence: str, keyword: str) -> Any:
    for group in groups:
        item = group[sequence][0] if sequence in group and len(group[sequence].value) else group
        if item.get(keyword) is not None:
            return item.get(keyword)
    return None


def _checked(values: np.ndarray, thickness: float, shape: tuple[int, int], path: Path) -> Plane:
    position, across, down, spacing = values[:3], values[3:6], values[6:9], values[9:]
    lengths = np.array([np.linalg.norm(across), np.linalg.norm(down)])
    if (np.abs(lengths - 1) > 0.05).any() or abs(across @ down) > 0.05 or (spacing <= 0).any():
        raise _impossible(path)
    steps = (float(spacing[0]), float(spacing[1]))
    return Plane(position, across / lengths[0], down / lengths[1], steps, abs(thickness) or 1.0, shape, path)


def _impossible(path: Path) -> InputError:
    return InputError(
        "an impossible position, orientation or spacing", file=path,
        expected="three numbers, two unit vectors at a right angle and two positive steps",
    )  # fmt: skip


def _check_alike(first: Plane, other: Plane) -> None:
    directions = np.stack([first.across - other.across, first.down - other.down])
    same_spacing = np.allclose(first.spacing, other.spacing, rtol=_SAME_SPACING, atol=0)
    if np.abs(directions).max() > _SAME_DIRECTION:
        problem = "slices of different orientation in one series"
    elif first.shape != other.shape or not same_spacing:
        problem = "slices of different size in one series"
    else:
        return
    raise InputError(
        problem, file=first.source.parent, expected="slices of one grid",
        found=f"{first.source.name} and {other.source.name} that differ", remedy="put them into folders of their own",
    )  # fmt: skip


def _check_distances(ordered: Sequence[Plane], distances: np.ndarray) -> None:
    usual = float(np.median(distances)) or float(distances.max())
    for before, after, distance in zip(ordered, ordered[1:], distances, strict=False):
        if distance <= _SAME_POSITION * usual or distance < 1e-4:
            problem, remedy = "two slices at one position", "leave one, or split time points and echoes into series"
        elif distance > _GAP * usual:
            problem, remedy = "slices are missing", "export the whole series"
        elif abs(distance - usual) > _UNEVEN * usual:
            problem, remedy = "slices at uneven distances", "resample the series"
        else:
            continue
        raise InputError(
            problem, file=before.source.parent, expected=f"a slice every {usual:.4g} mm",
            found=f"{distance:.4g} mm between {before.source.name} and {after.source.name}", remedy=remedy,
        )  # fmt: skip
