"""The page of an evaluation: which cases it shows, in which order, with which numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from medtap.adaptation import TapOptions
from medtap.adapters import Lora
from medtap.metrics import score_case, summarise
from medtap.record import AdaptationRecord
from medtap.report import Problems, evaluation_page, learnt_from, rerun, take_picture
from medtap.report.evaluation import best_median_worst, worst_first
from tests.tiny import support_set, tiny_network


def test_the_worst_come_first_and_the_unscored_last():
    assert worst_first({"a": 0.9, "b": math.nan, "d": 0.1, "c": 0.1}) == ["c", "d", "a", "b"]


@pytest.mark.parametrize("cases", range(30))
def test_no_case_is_shown_twice(cases):
    best, middle, worst = best_median_worst(range(cases))
    assert len({*best, *middle, *worst}) == len(best) + len(middle) + len(worst)
    assert max(len(best), len(middle), len(worst)) <= 4
    assert len(worst) == min(4, -(-cases // 3))


def test_cases_are_from_the_ends_and_the_middle():
    best, middle, worst = best_median_worst(range(101))
    assert (best, worst) == ([100, 99, 98, 97], [0, 1, 2, 3])
    assert middle == [49, 50, 51, 52]


def test_few_cases_are_shared_out():
    assert best_median_worst("a") == ([], [], ["a"])
    assert best_median_worst("ab") == (["b"], [], ["a"])
    assert best_median_worst("abc") == (["c"], ["b"], ["a"])


def page(classes, cases=9, **problems):
    """A page of cases whose prediction misses more and more rows of the truth."""
    support = support_set(2, classes=classes)
    record = AdaptationRecord.of(tiny_network(), support, Lora(), TapOptions(), [0.5], 1.0)
    truth = np.zeros((20, 20), np.uint8)
    truth[:, :10] = np.arange(20)[:, None] % classes + 1
    scores, pictures = {}, {}
    for index in range(cases):
        found = truth * (np.arange(20)[:, None] >= 2 * index)
        scores[f"case {index}"] = score_case(found, truth, record.classes)
        pictures[f"case {index}"] = take_picture(np.zeros((3, 20, 20)), found, truth, classes)
    rows, metrics = {name: score.row() for name, score in scores.items()}, summarise(list(scores.values()), seed=0)
    parts = {"learnt": learnt_from(record, None), "problems": Problems(**problems)}
    parts["rerun"] = rerun("evaluate", {"adapter": "a"}, record, {})
    return evaluation_page(record, metrics, rows, pictures, **parts), metrics


def test_galleries_are_worst_typical_and_best():
    made, _ = page(1)
    shown = {gallery.title: [figure.name for figure in gallery.figures] for gallery in made.galleries}
    assert shown == {
        "Worst cases": ["case 8", "case 7", "case 6"],
        "Typical cases": ["case 5", "case 4", "case 3"],
        "Best cases": ["case 0", "case 1", "case 2"],
    }
    assert made.galleries[2].figures[0].notes == ("Dice 1.000",)


def test_cases_are_sorted_and_their_columns_named():
    made, _ = page(1)
    assert made.cases.head == ("case", "Dice", "IoU", "surface Dice", "HD95 (px)")
    assert [row[0] for row in made.cases.rows] == [f"case {index}" for index in reversed(range(9))]
    assert made.cases.rows[-1] == ("case 0", "1.000", "1.000", "1.000", "0.000")


def test_classes_have_charts_columns_and_notes():
    made, _ = page(2)
    assert [chart.title for chart in made.charts] == ["class-1", "class-2"]
    assert "Dice, class-2" in made.cases.head
    assert made.galleries[2].figures[0].notes == ("Dice 1.000", "class-1 1.000, class-2 1.000")


def test_first_glance():
    made, metrics = page(1, failed=(("x", "broken"),))
    assert made.facts[0] == (f"{metrics['dice']['mean']:.3f}", "mean Dice")
    assert ("1", "failed") in made.facts
    assert ("9", "cases scored") in made.facts
    assert ("1", "case scored") in page(1, cases=1)[0].facts


def test_very_many_cases_are_left_to_the_table(monkeypatch):
    monkeypatch.setattr("medtap.report.evaluation._MOST_ROWS", 4)
    made, _ = page(1)
    assert (len(made.cases.rows), made.hidden, made.full_table) == (4, 5, "metrics.csv")


def test_a_class_nobody_has_is_not_scored():
    support = support_set(1)
    record = replace(AdaptationRecord.of(tiny_network(), support, Lora(), TapOptions(), [], 0.0), classes=("nothing",))
    empty = np.zeros((4, 4), np.uint8)
    score = score_case(empty, empty, ("nothing",))
    made = evaluation_page(
        record,
        summarise([score], seed=0),
        {"a": score.row()},
        {"a": take_picture(np.zeros((3, 4, 4)), empty, empty, 1)},
        learnt=learnt_from(record, None),
        problems=Problems(),
        rerun=rerun("evaluate", {"adapter": "a"}, record, {}),
    )
    assert made.galleries == ()
    assert made.facts[0] == ("-", "mean Dice")
    assert made.cases.rows == [("a", "-", "-", "-", "-")]
