"""Scores of one case, class by class.

MONAI's metric functions measure one case; what an empty mask means is decided here, because MONAI scores an absent
class as 0 or infinity when it aggregates. Shapes: N classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from monai.metrics import compute_dice, compute_hausdorff_distance, compute_iou, compute_surface_dice
from scipy import ndimage

from medtap.errors import InputError, OptionError

TOLERANCE_MM = 1.0
TOLERANCE_PX = 2.0
CASE_SCORES = ("dice", "iou", "surface_dice", "hd95")


@dataclass(frozen=True)
class CaseScores:
    """How well one predicted label map agrees with the truth.

    Attributes:
        classes: the names of the labels 1..N.
        dice: [N], 0 to 1, nan where the class is in neither map.
        iou: [N], 0 to 1, nan where the class is in neither map.
        surface_dice: [N], 0 to 1, the share of both outlines that lies within ``tolerance`` of the other one; nan where
            the class is in neither map.
        hd95: [N], the 95th percentile of the outlines' distance in ``unit``, nan where the class is in one map or none.
        intersection: [1 + N] pixels in both maps: of any class, then of each class.
        union: [1 + N] pixels in either map: of any class, then of each class.
        size: pixels of the whole image.
        unit: "mm" where the spacing is known, else "px".
        tolerance: of the surface Dice, in ``unit``.
    """

    classes: tuple[str, ...]
    dice: tuple[float, ...]
    iou: tuple[float, ...]
    surface_dice: tuple[float, ...]
    hd95: tuple[float, ...]
    intersection: tuple[int, ...]
    union: tuple[int, ...]
    size: int
    unit: str
    tolerance: float

    def row(self) -> dict[str, float]:
        """One row of a table: each score's mean over the classes, then ``score[class]`` if there are several."""
        row = {name: torch.tensor(getattr(self, name), dtype=torch.float64).nanmean().item() for name in CASE_SCORES}
        if len(self.classes) > 1:
            row |= {f"{name}[{c}]": getattr(self, name)[i] for name in CASE_SCORES for i, c in enumerate(self.classes)}
        return row


def score_case(
    prediction: np.ndarray,
    truth: np.ndarray,
    classes: Sequence[str],
    spacing_mm: Sequence[float] | None = None,
    *,
    tolerance: float | None = None,
) -> CaseScores:
    """Score one case, class by class.

    A class in neither map is not scored (nan). A class in only one of them has Dice, IoU and surface Dice 0, and no
    95 % Hausdorff distance (nan), since a distance to nothing has no number.

    Args:
        prediction: labels 0..N, [H, W] or [X, Y, Z].
        truth: labels 0..N on the same grid.
        classes: the names of the labels 1..N.
        spacing_mm: the size of a pixel along each axis of the arrays in mm, or None where it is unknown.
        tolerance: how far apart outlines may be for the surface Dice, in mm, or in px without a spacing.
            Without it 1 mm, or 2 px.

    Returns:
        The scores, distances in mm where the spacing is known and in px elsewhere.

    Raises:
        InputError: the maps differ in shape, are not 2D or 3D, hold other labels, or the spacing does not fit them.
        OptionError: the tolerance is negative or not finite.
    """
    _check_maps(prediction, truth, len(classes))
    _check_spacing(spacing_mm, prediction.ndim)
    if tolerance is None:
        tolerance = TOLERANCE_PX if spacing_mm is None else TOLERANCE_MM
    _check_tolerance(tolerance)
    size, (prediction, truth) = prediction.size, _crop(prediction, truth)
    pairs = [(prediction == label, truth == label) for label in range(1, len(classes) + 1)]
    scores = np.array([_score_pair(*pair, spacing_mm, tolerance) for pair in pairs], dtype=float).reshape(-1, 4)
    dice, iou, surface_dice, hd95 = (tuple(column.tolist()) for column in scores.T)
    counts = [(prediction > 0, truth > 0), *pairs]
    return CaseScores(
        tuple(classes),
        dice,
        iou,
        surface_dice,
        hd95,
        intersection=tuple(int((p & t).sum()) for p, t in counts),
        union=tuple(int((p | t).sum()) for p, t in counts),
        size=size,
        unit="px" if spacing_mm is None else "mm",
        tolerance=float(tolerance),
    )


def _check_maps(prediction: np.ndarray, truth: np.ndarray, classes: int) -> None:
    if prediction.shape != truth.shape:
        raise InputError("prediction and truth differ in shape", expected=str(truth.shape), found=str(prediction.shape))
    if prediction.ndim not in (2, 3):
        raise InputError("label maps must be 2D or 3D", found=f"{prediction.ndim} dimensions")
    for name, labels in (("prediction", prediction), ("truth", truth)):
        if labels.size and not (labels.min() >= 0 and labels.max() <= classes):
            span = f"{labels.min()} to {labels.max()}"
            raise InputError(f"the {name} holds unknown labels", expected=f"labels 0 to {classes}", found=span)


def _check_spacing(spacing_mm: Sequence[float] | None, dimensions: int) -> None:
    if spacing_mm is None:
        return
    if len(spacing_mm) != dimensions or not all(np.isfinite(s) and s > 0 for s in spacing_mm):
        expected = f"{dimensions} positive numbers of mm"
        raise InputError("the spacing does not fit the label maps", expected=expected, found=str(tuple(spacing_mm)))


def _check_tolerance(tolerance: float) -> None:
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise OptionError("the surface tolerance is no distance", expected="0 or more", found=str(tolerance))


def _crop(*maps: np.ndarray) -> list[np.ndarray]:
    """The maps within the box around what is not 0 in any of them; exact, since no score looks at the background."""
    occupied = np.logical_or.reduce([m > 0 for m in maps])
    boxes = ndimage.find_objects(occupied.view(np.uint8))
    return [m[boxes[0]] if boxes else m[:0] for m in maps]


def _score_pair(
    prediction: np.ndarray, truth: np.ndarray, spacing: Sequence[float] | None, tolerance: float
) -> tuple[float, float, float, float]:
    """Dice, IoU, surface Dice and 95 % Hausdorff distance of two boolean masks."""
    if not (prediction.any() and truth.any()):
        missed = 0.0 if prediction.any() or truth.any() else np.nan
        return missed, missed, missed, np.nan
    y_pred, y = (torch.from_numpy(np.ascontiguousarray(m)).float()[None, None] for m in _crop(prediction, truth))
    step = None if spacing is None else [float(s) for s in spacing]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # MONAI 1.6 warns of an argument that it passes itself
        return (
            compute_dice(y_pred, y).item(),
            compute_iou(y_pred, y).item(),
            compute_surface_dice(y_pred, y, [tolerance], include_background=True, spacing=step).item(),
            compute_hausdorff_distance(y_pred, y, include_background=True, percentile=95, spacing=step).item(),
        )
