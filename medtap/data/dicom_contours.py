"""RTSTRUCT: contours in the patient -> masks on the grid of an image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from pydicom import Dataset
from skimage.draw import polygon

from medtap.data.scan import Scan


def contour_masks(dataset: Dataset, chosen: Mapping[int, int], image: Scan) -> Iterator[tuple[int, np.ndarray]]:
    """Fill the closed planar contours of regions, each in the plane of the image that it is nearest to.

    Contours of one region that lie in each other cut holes.

    Args:
        dataset: the structure set.
        chosen: the regions to read, by their numbers.
        image: the volume.

    Yields:
        Number of a region and its mask, bool [X, Y, Z], from the lowest number on.
    """
    to_voxel = np.linalg.inv(image.geometry.affine) @ np.diag([-1.0, -1.0, 1.0, 1.0])
    drawn = {int(item.ReferencedROINumber): item for item in dataset.ROIContourSequence}
    for number in sorted(chosen):
        mask = np.zeros(image.geometry.shape, bool)
        for contour in drawn[number].ContourSequence:
            if contour.get("ContourGeometricType", "CLOSED_PLANAR").startswith("CLOSED_PLANAR"):
                points = np.asarray(contour.ContourData, dtype=np.float64).reshape(-1, 3)
                _fill(mask, points @ to_voxel[:3, :3].T + to_voxel[:3, 3])
        yield number, mask


def _fill(mask: np.ndarray, points: np.ndarray) -> None:
    """Turn over what a contour of voxel coordinates [P, 3] encloses in its plane, so that inner contours cut holes."""
    axis = int(np.argmin(np.ptp(points, axis=0)))
    index = int(np.rint(points[:, axis].mean()))
    if mask.ndim != 3 or np.ptp(points[:, axis]) > 1 or not 0 <= index < mask.shape[axis]:
        return
    plane = np.moveaxis(mask, axis, 0)[index]
    others = np.delete(points, axis, axis=1)
    inside = polygon(others[:, 0], others[:, 1], plane.shape)
    plane[inside] ^= True
