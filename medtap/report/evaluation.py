"""The report of an evaluation: scores, the cases behind them, and what the network had learnt from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from medtap.record import AdaptationRecord
from medtap.report.charts import score_histogram
from medtap.report.learnt import css_colour
from medtap.report.page import Chart, Figure, Gallery, Learnt, Page, Problems, Rerun, Table
from medtap.report.pictures import CasePicture
from medtap.report.prose import counted, listed, score_sentences
from medtap.report.scores import SCORES_SHOWN, score_head, score_table

_SHOWN = 4
_MOST_ROWS = 2000
_LEGEND = "Lines are the annotation, shading is the prediction."

Row = Mapping[str, float]


def evaluation_page(
    record: AdaptationRecord,
    metrics: Mapping[str, Any],
    rows: Mapping[str, Row],
    pictures: Mapping[str, CasePicture],
    *,
    learnt: Learnt,
    problems: Problems,
    rerun: Rerun,
    note: str = "",
) -> Page:
    """Put the report of an evaluation together.

    Args:
        record: of the adapter.
        metrics: the content of ``metrics.json``.
        rows: of ``metrics.csv``, by case.
        pictures: by case.
        learnt: what the network was adapted on.
        problems: what went wrong.
        rerun: how to do it again.
        note: what must be known of the data.
    """
    dice = {name: row["dice"] for name, row in rows.items()}
    order = worst_first(dice)
    failed = ((str(len(problems.failed)), "failed"),) if problems.failed else ()
    return Page(
        title=f"Segmentation of {listed(record.classes)}, compared with annotations",
        note=note,
        facts=(
            (_number(metrics["dice"]["mean"]), "mean Dice"),
            (_number(metrics["miou"]["mean"]), "pooled mIoU"),
            (str(len(rows)), "case scored" if len(rows) == 1 else "cases scored"),
            *failed,
            (str(record.shots), "annotated example" if record.shots == 1 else "annotated examples"),
        ),
        sentences=(_what_was_done(len(rows), record), *score_sentences(metrics, list(dice.values()))),
        learnt=learnt,
        problems=problems,
        rerun=rerun,
        scores=_score_table(metrics),
        galleries=_galleries(order, rows, pictures, record.classes),
        legend=_LEGEND,
        charts=_charts(rows, record.classes),
        cases=_case_table(order[:_MOST_ROWS], rows, str(metrics["unit"])),
        hidden=max(0, len(order) - _MOST_ROWS),
        full_table="metrics.csv",
    )


def worst_first(scores: Mapping[str, float]) -> list[str]:
    """Cases from the lowest score to the highest, equal ones by name, those without a score at the end."""
    return sorted(scores, key=lambda name: (math.isnan(scores[name]), scores[name], name))


def best_median_worst(order: Sequence[str], most: int = _SHOWN) -> tuple[list[str], list[str], list[str]]:
    """Choose cases from the two ends and the middle of a ranking; none is chosen twice.

    Args:
        order: the worst first.
        most: how many of each, fewer where there are less than three times as many.

    Returns:
        The best ones, best first; those in the middle and the worst ones, worst first.
    """
    count = min(most, -(-len(order) // 3))
    worst = list(order[:count])
    best = list(order[len(worst) :][-count:])[::-1]
    between = list(order[len(worst) : len(order) - len(best)])
    start = max(0, (len(between) - count + 1) // 2)
    return best, between[start : start + count], worst


def _what_was_done(cases: int, record: AdaptationRecord) -> str:
    return (
        f"{counted(cases, 'case')} that the network had not learnt from {'was' if cases == 1 else 'were'} segmented "
        f"and compared with {'its' if cases == 1 else 'their'} annotation of {listed(record.classes)}."
    )


def _number(mean: float | None) -> str:
    return "-" if mean is None else f"{mean:.3f}"


def _score_table(metrics: Mapping[str, Any]) -> Table:
    """All scores; the intervals wrap as a whole."""
    rows = [tuple(cell.replace(" to ", "\u00a0to\u00a0") for cell in row) for row in score_table(metrics, SCORES_SHOWN)]
    return Table("Scores with 95 % intervals", score_head(metrics["unit"], SCORES_SHOWN), rows, True)


def _galleries(
    order: Sequence[str], rows: Mapping[str, Row], pictures: Mapping[str, CasePicture], classes: Sequence[str]
) -> tuple[Gallery, ...]:
    ranked = [name for name in order if not math.isnan(rows[name]["dice"]) and name in pictures]
    best, middle, worst = best_median_worst(ranked)
    about = (
        ("Worst cases", "The lowest Dice scores. Start here: they show what the network gets wrong.", worst),
        ("Typical cases", "Around the median: what to expect.", middle),
        ("Best cases", "The highest Dice scores.", best),
    )
    return tuple(
        Gallery(title, text, tuple(_figure(name, rows[name], pictures[name], classes) for name in names))
        for title, text, names in about
        if names
    )


def _figure(name: str, row: Row, picture: CasePicture, classes: Sequence[str]) -> Figure:
    score = f"Dice {_dash(row['dice'])}"
    parts = [f"{label} {_dash(row[f'dice[{label}]'])}" for label in classes] if len(classes) > 1 else []
    plane = plane_note(picture)
    alt = f"Case {name}{', ' + plane if plane else ''}: annotation outlined, prediction shaded, {score}."
    notes = [score, ", ".join(parts), plane]
    return Figure(picture.draw(len(classes)), name, tuple(text for text in notes if text), alt)


def plane_note(picture: CasePicture) -> str:
    """Which plane of a volume a picture shows; empty for images."""
    return "" if picture.plane is None else f"plane {picture.plane} of {picture.planes}"


def _charts(rows: Mapping[str, Row], classes: Sequence[str]) -> tuple[Chart, ...]:
    if len(classes) == 1:
        values = [row["dice"] for row in rows.values()]
        return (Chart(classes[0], score_histogram(f"Dice of {classes[0]}", values), css_colour(1)),)
    return tuple(
        Chart(name, score_histogram(f"Dice of {name}", [row[f"dice[{name}]"] for row in rows.values()]), css_colour(i))
        for i, name in enumerate(classes, start=1)
    )


def _case_table(order: Sequence[str], rows: Mapping[str, Row], unit: str) -> Table:
    keys = list(next(iter(rows.values()))) if rows else []
    head = ("case", *(_column(key, unit) for key in keys))
    return Table(
        "Scores of every case", head, [(name, *(_dash(rows[name][key]) for key in keys)) for name in order], True
    )


def _column(key: str, unit: str) -> str:
    score, bracket, name = key.partition("[")
    shown = {"dice": "Dice", "iou": "IoU", "surface_dice": "surface Dice"}.get(score, f"HD95 ({unit})")
    return f"{shown}, {name[:-1]}" if bracket else shown


def _dash(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
