"""DICOM SEG: frames of segments -> masks on the grid of an image, by where they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from pydicom import Dataset

from medtap.data.dicom_file import is_dicom, read_dataset
from medtap.data.dicom_names import references
from medtap.data.dicom_pixels import decodable
from medtap.data.dicom_plane import frame_planes
from medtap.data.scan import Scan
from medtap.errors import InputError

_ALIGNED = 0.1  # of a step between slices
_FRACTION = 0.5


@dataclass(frozen=True, eq=False)
class _Place:
    """Where a frame lands on the image.

    Args:
        frame: its index in the SEG.
        index: of a plane of the image.
        sample: gives three arrays [h, w] for the pixels of that plane: row of the frame, its column, and whether the
            frame covers the pixel. Called frame by frame, for all at once would take more memory than the volume.
    """

    frame: int
    index: tuple[int | slice, ...]
    sample: Callable[[], tuple[np.ndarray, np.ndarray, np.ndarray]]


def segment_masks(
    dataset: Dataset, chosen: Mapping[int, int], image: Scan, threshold: float | None, path: Path
) -> Iterator[tuple[int, np.ndarray]]:
    """Bring segments onto an image.

    Args:
        dataset: the SEG: binary, fractional or label map, with or without its empty frames.
        chosen: the segments to read, by their numbers.
        image: the image.
        threshold: see `medtap.data.dicom_masks.read_dicom_labels`.
        path: the file, for messages.

    Yields:
        Number of a segment and its mask, bool of the image's shape, from the lowest number on.

    Raises:
        InputError: no frame lies on the image, or they lie across its planes.
    """
    frames = decodable(dataset, path)
    places = _places(dataset, image, path)
    numbers = _segment_numbers(dataset)
    for number in sorted(chosen):
        mask = np.zeros(image.geometry.shape, bool)
        for place in places:
            if numbers is None or numbers[place.frame] == number:
                values = np.asarray(frames.get_stored_frame(place.frame + 1))
                shown = _is_foreground(values, dataset, number, threshold)
                rows, columns, inside = place.sample()
                mask[place.index] |= shown[rows, columns] & inside
        yield number, mask


def _segment_numbers(dataset: Dataset) -> list[int] | None:
    """The segment of each frame; None for label maps, whose pixels are the numbers."""
    if dataset.SegmentationType == "LABELMAP":
        return None
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    groups = [[frame, *shared] for frame in dataset.PerFrameFunctionalGroupsSequence]
    found = [next(group for group in frame if "SegmentIdentificationSequence" in group) for frame in groups]
    return [int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber) for group in found]


def _is_foreground(values: np.ndarray, dataset: Dataset, number: int, threshold: float | None) -> np.ndarray:
    if dataset.SegmentationType == "LABELMAP":
        return values == number
    if dataset.SegmentationType == "BINARY":
        return values > 0
    most = float(dataset.MaximumFractionalValue)
    level = _FRACTION if threshold is None else threshold if threshold <= 1 else threshold / most
    return values > level * most


def _places(dataset: Dataset, image: Scan, path: Path) -> list[_Place]:
    """Where each frame that lies on the image lands on it."""
    planes = frame_planes(dataset, path) if image.is_volume else None
    if planes is None:
        return _places_by_reference(dataset, image, path)
    found = []
    matrices = [np.linalg.inv(plane.affine()) @ image.geometry.affine for plane in planes]
    axis = _plane_axis(matrices[0], image, path)
    at = np.array([-(_middle(matrix, axis, image)) / matrix[2, axis] for matrix in matrices])
    reach = np.array([0.5 / abs(matrix[2, axis]) for matrix in matrices])
    for frame, index in _pairs(at, reach, image.geometry.shape[axis]):
        where = tuple(index if a == axis else slice(None) for a in range(3))
        sample = partial(_sampled, matrices[frame], axis, index, image, planes[frame].shape)
        found.append(_Place(frame, where, sample))
    if not found:
        raise elsewhere(path, image)
    return found


def _plane_axis(matrix: np.ndarray, image: Scan, path: Path) -> int:
    """The axis of the image that runs through the planes of the mask."""
    axis = int(np.argmax(np.abs(matrix[2, :3])))
    tilt = [abs(matrix[2, a]) * (image.geometry.shape[a] - 1) for a in range(3) if a != axis]
    if sum(tilt) > abs(matrix[2, axis]):
        raise InputError(
            "mask and image of different orientation", file=path, expected="planes parallel to the image's",
            found="planes that cut through several of them", remedy="resample the mask onto the image",
        )  # fmt: skip
    return axis


def _middle(matrix: np.ndarray, axis: int, image: Scan) -> float:
    centre = [0.0 if a == axis else (size - 1) / 2 for a, size in enumerate(image.geometry.shape)]
    return float(matrix[2] @ [*centre, 1.0])


def _pairs(at: np.ndarray, reach: np.ndarray, count: int) -> list[tuple[int, int]]:
    """(frame, plane of the image): each to its own where they coincide, else each plane takes what it lies in."""
    nearest = np.rint(at).astype(int)
    if (np.abs(at - nearest) <= _ALIGNED).all():
        return [(frame, int(index)) for frame, index in enumerate(nearest) if 0 <= index < count]
    pairs = []
    for index in range(count):
        away = np.abs(at - index)
        near = np.flatnonzero(away <= np.maximum(reach, 0.5))
        pairs += [(int(frame), index) for frame in near if away[frame] <= away[near].min() + _ALIGNED]
    return pairs


def _sampled(
    matrix: np.ndarray, axis: int, index: int, image: Scan, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows and columns of a frame that are nearest to the pixels of a plane of the image, and which lie in it."""
    sizes = [1 if a == axis else size for a, size in enumerate(image.geometry.shape)]
    grid = np.indices(sizes).reshape(3, -1).astype(np.float64)
    grid[axis] = index
    columns, rows = np.rint(matrix[:2, :3] @ grid + matrix[:2, 3:]).astype(int)
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    plane = [size for a, size in enumerate(image.geometry.shape) if a != axis]
    rows, columns = np.where(inside, rows, 0), np.where(inside, columns, 0)
    return rows.reshape(plane), columns.reshape(plane), inside.reshape(plane)


def _places_by_reference(dataset: Dataset, image: Scan, path: Path) -> list[_Place]:
    """Frames of images without position: those that refer to this very image, and have its size."""
    shape = (int(dataset.Rows), int(dataset.Columns))
    own = _instance(image.path)
    named = [references(frame) for frame in dataset.PerFrameFunctionalGroupsSequence]
    frames = [frame for frame, images in enumerate(named) if not images or own is None or own in images]
    if image.is_volume or shape != tuple(image.geometry.shape) or not frames:
        raise elsewhere(path, image)
    return [_Place(frame, (slice(None), slice(None)), partial(_whole, shape)) for frame in frames]


def _whole(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows, columns = np.indices(shape)
    return rows, columns, np.ones(shape, bool)


def _instance(path: Path) -> str | None:
    if not (path.is_file() and is_dicom(path)):
        return None
    return str(read_dataset(path, pixels=False, tags=("SOPInstanceUID",)).get("SOPInstanceUID"))


def elsewhere(path: Path, image: Scan) -> InputError:
    """The error for a mask of which nothing lies on its image."""
    return InputError(
        "mask and image of different place", file=path, expected=f"planes of {image.path.name}",
        found="none of the mask's planes on the image", remedy="pair masks with their own images",
    )  # fmt: skip
