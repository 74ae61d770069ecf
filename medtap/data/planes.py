"""Volumes as planes seen on a screen, and exactly back to the grid they were stored on."""

from __future__ import annotations

import nibabel as nib
import numpy as np

from medtap.data.scan import Geometry
from medtap.options import refuse_unknown_choice

AXES: dict[str, str] = {"axial": "PLS", "coronal": "ILA", "sagittal": "IPL"}
"""Directions of rows (downwards), columns (to the right) and planes, as radiologists look at each axis."""


def axis_codes(axis: str) -> str:
    """The three directions of an axis.

    Raises:
        OptionError: no such axis.
    """
    refuse_unknown_choice("unknown axis", axis, AXES)
    return AXES[axis]


def plane_orientation(affine: np.ndarray, axis: str) -> np.ndarray:
    """The nibabel orientation [3, 2] that takes an array with this [4, 4] affine to planes of the axis."""
    wanted = nib.orientations.axcodes2ornt(axis_codes(axis))
    return nib.orientations.ornt_transform(nib.io_orientation(affine), wanted).astype(int)


def inverse_orientation(orientation: np.ndarray) -> np.ndarray:
    """The [3, 2] orientation that undoes another, by its permutation and flips alone."""
    axes, flips = orientation[:, 0].astype(int), orientation[:, 1].astype(int)
    back = np.argsort(axes)
    return np.stack([back, flips[back]], axis=1)


def planes_of(labels: np.ndarray, geometry: Geometry, axis: str = "axial") -> np.ndarray:
    """Planes of an array as stored: images [H, W] as they are, volumes [X, Y, Z] as [H, W, planes]."""
    if labels.ndim == 2:
        return labels
    return nib.orientations.apply_orientation(labels, plane_orientation(geometry.affine, axis))


def stored_of(planes: np.ndarray, geometry: Geometry, axis: str = "axial") -> np.ndarray:
    """The exact inverse of `planes_of`: [H, W, planes] back to [X, Y, Z] as stored."""
    if planes.ndim == 2:
        return planes
    orientation = plane_orientation(geometry.affine, axis)
    return nib.orientations.apply_orientation(planes, inverse_orientation(orientation))
