"""Scores as people read them, on the terminal and on the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

SCORES_SHOWN = {
    "dice": "Dice",
    "iou": "IoU",
    "surface_dice": "surface Dice",
    "hd95": "HD95",
    "miou": "mIoU (pooled)",
    "fb_iou": "FB-IoU (pooled)",
}
"""Keys of ``metrics.json`` that tables show, with what they are called there."""

BRIEF = ("dice", "iou", "surface_dice", "hd95", "miou")
"""The ones that a terminal has room for."""


def score_head(unit: str, keys: Iterable[str] = BRIEF) -> tuple[str, ...]:
    """The head of `score_table`.

    Args:
        unit: of the Hausdorff distance: "mm", "px" or "mixed".
        keys: the scores, of `SCORES_SHOWN`.
    """
    return "class", *(f"{SCORES_SHOWN[key]} ({unit})" if key == "hd95" else SCORES_SHOWN[key] for key in keys)


def score_table(metrics: Mapping[str, Any], keys: Iterable[str] = BRIEF) -> list[tuple[str, ...]]:
    """A row for all classes together and, where there are several, one for each: its name, then its scores.

    Args:
        metrics: the content of ``metrics.json``.
        keys: the scores, of `SCORES_SHOWN`.
    """
    keys = tuple(keys)
    rows = {"all": metrics} | (metrics["per_class"] if len(metrics["per_class"]) > 1 else {})
    return [(name, *(shown_score(scores[key]) for key in keys)) for name, scores in rows.items()]


def shown_score(score: Mapping[str, Any]) -> str:
    """A score's mean and, where there is one, its interval."""
    if score["mean"] is None:
        return "-"
    interval = "" if score["ci95"] is None else " ({:.3f} to {:.3f})".format(*score["ci95"])
    return f"{score['mean']:.3f}{interval}"
