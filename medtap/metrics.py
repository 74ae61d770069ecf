"""Scores of a segmentation: per case, then pooled over cases with bootstrap intervals.

MONAI's metric functions measure one case; what an empty mask means is decided here, because MONAI scores an absent
class as 0 or infinity when it aggregates. Shapes: N classes, n cases, R bootstrap resamples.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.metrics import compute_dice, compute_hausdorff_distance, compute_iou, compute_surface_dice
from numpy.typing import NDArray
from scipy import ndimage

from medtap.errors import InputError, OptionError

TOLERANCE_MM = 1.0
TOLERANCE_PX = 2.0
CASE_SCORES = ("dice", "iou", "surface_dice", "hd95")

Score = dict[str, Any]
Floats = NDArray[np.float64]


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
        row = {name: float(_nanmean(np.array([getattr(self, name)]))[0]) for name in CASE_SCORES}
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
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise OptionError("the surface tolerance is no distance", expected="0 or more", found=str(tolerance))
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


def summarise(cases: Sequence[CaseScores], *, seed: int, resamples: int = 1000) -> dict[str, Any]:
    """Means over the cases with 95 % bootstrap percentile intervals, the cases being what is resampled.

    ``dice``, ``iou``, ``surface_dice`` and ``hd95`` are means over cases of each case's mean over its scored classes.
    ``miou`` pools intersection and union over the cases for each class and then averages the classes; ``fb_iou`` is
    the mean of the pooled IoU of foreground (any class) and of background. Under ``per_class`` they are that class
    against the rest.

    Args:
        cases: the scores of all cases, of the same classes.
        seed: of the bootstrap.
        resamples: R, how many bootstrap samples are drawn.

    Returns:
        ``cases`` (how many), ``unit`` of hd95 ("mm", "px", or "mixed", in which case hd95 has no value), the scores,
        and ``per_class`` (class name to the same scores). A score is {"mean": float or None, "ci95": [low, high] or
        None}: no mean where nothing was scored, no interval below two cases.

    Raises:
        InputError: the cases are of different classes.
        OptionError: resamples is not positive.
    """
    if resamples < 1:
        raise OptionError("too few bootstrap resamples", expected="1 or more", found=str(resamples))
    classes = _common_classes(cases)
    weights = _bootstrap_weights(len(cases), resamples, np.random.default_rng(seed))
    table = _columns(cases, len(classes))
    everything = list(range(1, len(classes) + 1))
    per_class = {name: _scores(weights, table, [label], label) for label, name in enumerate(classes, start=1)}
    return {"cases": len(cases), "unit": _unit(cases), **_scores(weights, table, everything, 0), "per_class": per_class}


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


def _common_classes(cases: Sequence[CaseScores]) -> tuple[str, ...]:
    found = sorted({case.classes for case in cases})
    if len(found) > 1:
        raise InputError("cases of different classes cannot be pooled", expected=str(found[0]), found=str(found[1]))
    return found[0] if found else ()


def _unit(cases: Sequence[CaseScores]) -> str:
    units = {case.unit for case in cases}
    return units.pop() if len(units) == 1 else "mixed" if units else "px"


def _bootstrap_weights(cases: int, resamples: int, generator: np.random.Generator) -> Floats:
    """[1 + R, n]: how often each case counts; first the plain mean, then each resample."""
    if cases == 0:
        return np.zeros((1 + resamples, 0))
    drawn = generator.multinomial(cases, np.full(cases, 1 / cases), size=resamples)
    return np.vstack([np.ones((1, cases)), drawn])


def _columns(cases: Sequence[CaseScores], classes: int) -> dict[str, Floats]:
    """Scores as [n, N], pixel counts as [n, 1 + N], image sizes as [n, 1]."""
    widths = dict.fromkeys(CASE_SCORES, classes) | {"intersection": classes + 1, "union": classes + 1, "size": 1}
    table = {
        name: np.array([getattr(case, name) for case in cases], dtype=float).reshape(len(cases), width)
        for name, width in widths.items()
    }
    if _unit(cases) == "mixed":
        table["hd95"] = np.full_like(table["hd95"], np.nan)
    return table


def _scores(weights: Floats, table: Mapping[str, Floats], labels: list[int], foreground: int) -> dict[str, Score]:
    """All scores over some labels; ``foreground`` is the column of counts that FB-IoU takes for foreground."""
    columns = [label - 1 for label in labels]
    means = {name: _mean_over_cases(weights, _nanmean(table[name][:, columns])) for name in CASE_SCORES}
    pooled = {name: weights @ table[name] for name in ("intersection", "union", "size")}
    iou = _ratio(pooled["intersection"], pooled["union"])
    background = _ratio(pooled["size"] - pooled["union"], pooled["size"] - pooled["intersection"])
    means["miou"] = _nanmean(iou[:, labels])
    means["fb_iou"] = (iou[:, foreground] + background[:, foreground]) / 2
    return {name: _with_interval(values, weights.shape[1]) for name, values in means.items()}


def _mean_over_cases(weights: Floats, values: Floats) -> Floats:
    """[1 + R] weighted means of [n] values, the nan ones left out."""
    scored = ~np.isnan(values)
    return _ratio(weights[:, scored] @ values[scored], weights[:, scored].sum(axis=1))


def _ratio(over: Floats, under: Floats) -> Floats:
    return np.divide(over, under, out=np.full(np.shape(over), np.nan), where=under > 0)


def _nanmean(values: Floats) -> Floats:
    """The mean over the last axis without the nan ones; nan, with no warning, where there are no others."""
    return _ratio(np.nansum(values, axis=-1), (~np.isnan(values)).sum(axis=-1))


def _with_interval(values: Floats, cases: int) -> Score:
    """A score from [1 + R] values: the first is the mean, the others give the interval."""
    mean, drawn = values[0], values[1:][~np.isnan(values[1:])]
    if np.isnan(mean):
        return {"mean": None, "ci95": None}
    interval = np.percentile(drawn, [2.5, 97.5]).tolist() if cases > 1 and drawn.size else None
    return {"mean": float(mean), "ci95": interval}
