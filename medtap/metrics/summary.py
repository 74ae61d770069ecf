"""What the scores of all cases of a run come to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from medtap.errors import InputError, OptionError
from medtap.metrics.cases import CaseScores
from medtap.metrics.pooling import Pooled, bootstrap_weights


def summarise(cases: Sequence[CaseScores], *, seed: int, resamples: int = 1000) -> dict[str, Any]:
    """Pool the cases, with 95 % bootstrap percentile intervals, the cases being what is resampled.

    Args:
        cases: the scores of all cases, of the same classes.
        seed: of the bootstrap.
        resamples: R, how many bootstrap samples are drawn.

    Returns:
        ``cases`` (how many), ``unit`` of hd95 ("mm", "px", or "mixed", in which case hd95 has no value), the scores of
        `Pooled`, and ``per_class`` (class name to the same scores, of that class against the rest). A score is
        {"mean": float or None, "ci95": [low, high] or None}: no mean where nothing was scored, no interval below two
        cases.

    Raises:
        InputError: the cases are of different classes.
        OptionError: resamples is not positive.
    """
    if resamples < 1:
        raise OptionError("too few bootstrap resamples", expected="1 or more", found=str(resamples))
    _check_classes(cases)
    pooled = Pooled(cases, bootstrap_weights(range(len(cases)), seed, resamples))
    return {"cases": len(cases), "unit": pooled.unit, **pooled.scores()}


def _check_classes(cases: Sequence[CaseScores]) -> None:
    found = sorted({case.classes for case in cases})
    if len(found) > 1:
        raise InputError("cases of different classes cannot be pooled", expected=str(found[0]), found=str(found[1]))
