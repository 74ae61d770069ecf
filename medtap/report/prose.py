"""Results and adaptations in plain words, for readers who do not live with metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medtap.adapters.joined import SIGN
from medtap.record import AdaptationRecord

_POOR = 0.2
_FEW = 20


def counted(number: int, one: str, several: str | None = None) -> str:
    """A number with its noun: ``1 case``, ``2 cases``."""
    return f"{number} {one if number == 1 else several or one + 's'}"


def listed(names: Sequence[str]) -> str:
    """Names as in a sentence: ``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def adaptation_sentences(record: AdaptationRecord) -> tuple[str, ...]:
    """What the network learnt, from how much, and by what method."""
    of_volumes = any(source["plane"] is not None for source in record.support)
    shown = counted(record.shots, f"annotated {record.axis} plane" if of_volumes else "annotated image")
    shown += f" of {listed(record.classes)}"
    if record.lacking:
        shown += f" and {counted(len(record.lacking), 'picture')} without"
    drawn = f"The network {record.network} was shown {shown}, drawn by seed "
    return f"{drawn}{record.tap['seed']}. Of this task it has learnt from nothing else.", _course(record)


def _course(record: AdaptationRecord) -> str:
    if not record.losses and record.check:
        return "Its encoder was left as it was: nothing showed that adapting it would help on other images."
    if not record.losses:
        return "Its encoder was left as it was: no adaptation steps were asked for."
    steps = counted(len(record.losses), "step")
    return (
        f"Its {_adapted_parts(record.method)} adapted by {record.method} in {steps} of Take a Peek: each example in "
        "turn is segmented with the help of the others, and the error is reduced."
    )


def _adapted_parts(method: str) -> str:
    """What the methods that are joined change, with its verb: ``encoder was``, ``encoder and head were``."""
    methods = set(method.split(SIGN))
    named = (("encoder", methods - {"decoder"}), ("head", methods & {"decoder", "full"}))
    parts = [part for part, changing in named if changing]
    return f"{listed(parts)} {'was' if len(parts) == 1 else 'were'}"


def score_sentences(metrics: Mapping[str, Any], dice: Sequence[float]) -> tuple[str, ...]:
    """What the scores say.

    Args:
        metrics: the content of ``metrics.json``.
        dice: each case's Dice, nan where a case was not scored.
    """
    scored = np.array([score for score in dice if not math.isnan(score)])
    if not scored.size:
        return ("No case could be scored: no class was in any mask or prediction.",)
    found = [_agreement(metrics), _spread(scored), _distance(metrics), *_classes(metrics["per_class"]), _poor(scored)]
    if scored.size < _FEW:
        found.append(f"These are only {counted(scored.size, 'case')}: take the numbers as a first impression.")
    return tuple(sentence for sentence in found if sentence)


def _agreement(metrics: Mapping[str, Any]) -> str:
    score = metrics["dice"]
    between = "" if score["ci95"] is None else ", 95 % interval {:.3f} to {:.3f}".format(*score["ci95"])
    return (
        f"Prediction and annotation overlap with a mean Dice score of {score['mean']:.3f}{between}. "
        "1 is a perfect match, 0 is no overlap."
    )


def _spread(dice: np.ndarray) -> str:
    low, middle = np.percentile(dice, [10, 50])
    tail = f", and one in ten below {low:.2f}" if dice.size >= 10 else ""
    return f"Half of the cases score above {middle:.2f}{tail}." if dice.size > 2 else ""


def _distance(metrics: Mapping[str, Any]) -> str:
    mean = metrics["hd95"]["mean"]
    if mean is None:
        return ""
    unit = "mm" if metrics["unit"] == "mm" else "pixels"
    return f"Where both found something, 95 % of the outlines lie within {mean:.1f} {unit} of each other on average."


def _classes(per_class: Mapping[str, Mapping[str, Any]]) -> list[str]:
    means = {name: scores["dice"]["mean"] for name, scores in per_class.items() if scores["dice"]["mean"] is not None}
    if len(means) < 2:
        return []
    best, worst = max(means, key=lambda name: means[name]), min(means, key=lambda name: means[name])
    return [f"It does best on {best} ({means[best]:.3f}) and worst on {worst} ({means[worst]:.3f})."]


def _poor(dice: np.ndarray) -> str:
    poor = int((dice < _POOR).sum())
    if not poor:
        return f"No case scores below {_POOR}."
    return f"{counted(poor, 'case')} {'scores' if poor == 1 else 'score'} below {_POOR}: look at these first."
