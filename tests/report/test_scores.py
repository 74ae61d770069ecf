"""Scores as people read them."""

from __future__ import annotations

import pytest

from medtap.report.scores import SCORES_SHOWN, score_head, score_table, shown_score

SCORE = {"mean": 0.81234, "ci95": [0.7, 0.9]}


def metrics(classes):
    scores = dict.fromkeys(SCORES_SHOWN, SCORE)
    return {**scores, "per_class": dict.fromkeys(classes, scores)}


@pytest.mark.parametrize(
    ("score", "shown"),
    [
        (SCORE, "0.812 (0.700 to 0.900)"),
        ({"mean": 1.0, "ci95": None}, "1.000"),
        ({"mean": None, "ci95": None}, "-"),
    ],
)
def test_score(score, shown):
    assert shown_score(score) == shown


def test_one_class_is_one_row():
    assert [row[0] for row in score_table(metrics(["lesion"]))] == ["all"]


def test_several_classes_follow_the_mean():
    assert [row[0] for row in score_table(metrics(["left", "right"]))] == ["all", "left", "right"]


def test_head_fits_the_rows_and_names_the_unit():
    head = score_head("mm", SCORES_SHOWN)
    assert "HD95 (mm)" in head
    assert len(head) == len(score_table(metrics(["a"]), SCORES_SHOWN)[0])
    assert len(score_head("px")) == len(score_table(metrics(["a"]))[0])
