"""What shape each class has in the masks of a support set: in how many pieces it comes, and whether it has holes.

MONAI and scikit-image are imported where a shape is measured, for they take seconds and a record is read without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

_SPECK = 0.01  # pieces and holes below this share of a class's area are the annotation's ragged rim


@dataclass(frozen=True)
class ClassShape:
    """The shape of one class over all support masks.

    Attributes:
        masks: number of support masks that hold the class.
        components: the most connected pieces that any of them has.
        holes: whether any of them encloses something else.
    """

    masks: int
    components: int
    holes: bool


def support_shape(masks: Tensor, classes: Sequence[str]) -> dict[str, ClassShape]:
    """Look at each class of support masks; specks below a hundredth of its area are passed over.

    Args:
        masks: labels [K,S,S] in 0..N.
        classes: the N names.
    """
    labels = masks.cpu().numpy()
    return {name: _class_shape(labels == label) for label, name in enumerate(classes, start=1)}


def _class_shape(masks: np.ndarray) -> ClassShape:
    """Of masks [K,S,S], true where the class is."""
    shown = [mask for mask in masks if mask.any()]
    components = max((_pieces(mask) for mask in shown), default=0)
    return ClassShape(len(shown), components, any(_has_hole(mask) for mask in shown))


def _pieces(mask: np.ndarray) -> int:
    """Connected pieces of a mask [S,S], corners touching, as MONAI's cleaning counts them."""
    return int((_piece_areas(mask) >= _SPECK * mask.sum()).sum())


def _has_hole(mask: np.ndarray) -> bool:
    """Whether MONAI's cleaning would fill more than specks of a mask [S,S]."""
    from monai.transforms import FillHoles

    filled = np.asarray(FillHoles(applied_labels=[1])(mask[None].astype(np.uint8)))[0] > 0
    return bool((_piece_areas(filled & ~mask) >= _SPECK * mask.sum()).any())


def _piece_areas(mask: np.ndarray) -> np.ndarray:
    from skimage.measure import label

    return np.bincount(label(mask, connectivity=2).ravel())[1:]
