"""Scores over many cases with intervals by bootstrap over images: cases of one image are drawn together.

Cases may be of different classes, and two methods are compared on the same draws. Shapes: n cases, N classes, R
bootstrap resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medtap.metrics.cases import CASE_SCORES, CaseScores

Floats = NDArray[np.float64]
COMPARED = ("miou", "dice", "iou", "pooled_dice", "fb_iou")
"""Scores whose difference between methods is told."""


def bootstrap_weights(images: Sequence[str] | Sequence[int], seed: int, resamples: int = 1000) -> Floats:
    """How often each case counts, [1+R,n]: once in the first row, then as often as its image was drawn.

    Fewer than two images cannot be resampled: R is 0 then.

    Args:
        images: the image of each case, by name or number.
        seed: of the draws.
        resamples: R.
    """
    names, of_case = np.unique(np.asarray(images, dtype=object), return_inverse=True)
    plain = np.ones((1, len(of_case)))
    if len(names) < 2:
        return plain
    chances = np.full(len(names), 1 / len(names))
    drawn = np.random.default_rng(seed).multinomial(len(names), chances, size=resamples)
    return np.vstack([plain, drawn[:, of_case]])


class Pooled:
    """The scores of one method, in the plain sample and in every resample.

    ``dice``, ``iou``, ``surface_dice`` and ``hd95`` are means over cases of each case's mean over its scored classes.
    ``miou`` pools intersection and union over the cases of each class and then averages the classes, and so does
    ``pooled_dice``; ``fb_iou`` is the mean of the pooled IoU of foreground (any class) and of background.

    Args:
        cases: scores of each of n cases, of classes that may differ.
        weights: [1+R,n], see `bootstrap_weights`.

    Attributes:
        classes: the N names.
        unit: of hd95: "mm", "px", or "mixed", in which case hd95 has no value.
        values: score name to [1+R] values over all classes.
        per_class: class name to the same, of that class against the rest.
    """

    def __init__(self, cases: Sequence[CaseScores], weights: Floats) -> None:
        self.classes = tuple(dict.fromkeys(name for case in cases for name in case.classes))
        self.unit = _unit(cases)
        table = _table(cases, self.classes)
        if self.unit == "mixed":
            table["hd95"].fill(np.nan)
        every = list(range(len(self.classes)))
        self.values = _values(weights, table, every, len(every))
        self.per_class = {name: _values(weights, table, [column], column) for column, name in enumerate(self.classes)}

    def scores(self) -> dict[str, Any]:
        """Each score as {"mean", "ci95"}, and ``per_class``; None where nothing was scored or resampled."""
        per_class = {name: _told(values) for name, values in self.per_class.items()}
        return {**_told(self.values), "per_class": per_class}

    def difference(self, other: Pooled) -> dict[str, Any]:
        """This method's scores less another's on the same cases and resamples, as {"mean", "ci95"}."""
        return _told({name: self.values[name] - other.values[name] for name in COMPARED})


def _unit(cases: Sequence[CaseScores]) -> str:
    units = {case.unit for case in cases}
    return units.pop() if len(units) == 1 else "mixed" if units else "px"


def _table(cases: Sequence[CaseScores], classes: Sequence[str]) -> dict[str, Floats]:
    """Scores [n,N], nan where a case is not of a class; pixel counts and sizes [n,N+1], the last ones of any class."""
    shape = (len(cases), len(classes))
    table = {name: np.full(shape, np.nan) for name in CASE_SCORES}
    table |= {name: np.zeros((shape[0], shape[1] + 1)) for name in ("intersection", "union", "size")}
    for row, case in enumerate(cases):
        columns = [classes.index(name) for name in case.classes]
        for name in CASE_SCORES:
            table[name][row, columns] = getattr(case, name)
        counted = [-1, *columns]  # CaseScores counts any class first
        table["intersection"][row, counted], table["union"][row, counted] = case.intersection, case.union
        table["size"][row, counted] = case.size
    return table


def _values(weights: Floats, table: Mapping[str, Floats], columns: list[int], foreground: int) -> dict[str, Floats]:
    """All scores [1+R] over some columns; ``foreground`` is the one that FB-IoU takes for foreground."""
    values = {name: _mean_over_cases(weights, _nanmean(table[name][:, columns])) for name in CASE_SCORES}
    inside, union, size = (weights @ table[name] for name in ("intersection", "union", "size"))
    iou, background = _ratio(inside, union), _ratio(size - union, size - inside)
    values["miou"] = _nanmean(iou[:, columns])
    values["pooled_dice"] = _nanmean(2 * iou[:, columns] / (1 + iou[:, columns]))
    values["fb_iou"] = (iou[:, foreground] + background[:, foreground]) / 2
    return values


def _mean_over_cases(weights: Floats, values: Floats) -> Floats:
    """[1+R] weighted means of [n] values, the nan ones left out."""
    scored = ~np.isnan(values)
    return _ratio(weights[:, scored] @ values[scored], weights[:, scored].sum(axis=1))


def _nanmean(values: Floats) -> Floats:
    """The mean over the last axis without the nan ones; nan, with no warning, where there are no others."""
    return _ratio(np.nansum(values, axis=-1), (~np.isnan(values)).sum(axis=-1))


def _ratio(over: Floats, under: Floats) -> Floats:
    return np.divide(over, under, out=np.full(np.shape(over), np.nan), where=under > 0)


def _told(values: Mapping[str, Floats]) -> dict[str, Any]:
    return {name: _with_interval(drawn) for name, drawn in values.items()}


def _with_interval(values: Floats) -> dict[str, Any]:
    """A score from [1+R] values: the first is the mean, the others give the interval."""
    drawn = values[1:][~np.isnan(values[1:])]
    if np.isnan(values[0]):
        return {"mean": None, "ci95": None}
    interval = np.percentile(drawn, [2.5, 97.5]).tolist() if drawn.size else None
    return {"mean": float(values[0]), "ci95": interval}
