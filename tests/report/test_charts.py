"""Charts: bars as high as their counts, points where the numbers are."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest

from medtap.report.charts import loss_curve, score_histogram


def parsed(svg):
    return ElementTree.fromstring(svg)


def bars(svg):
    """Text to height of every bar."""
    return {bar.findtext("title"): float(bar.get("height")) for bar in parsed(svg).iter("rect")}


def test_bars_count_the_cases():
    found = bars(score_histogram("Dice", [0.0, 0.81, 0.82, 0.849, 0.95, 1.0, math.nan]))
    assert found == {
        "0.00 to 0.05: 1 case": pytest.approx(40),
        "0.80 to 0.85: 3 cases": pytest.approx(120),
        "0.95 to 1.00: 2 cases": pytest.approx(80),
    }


def test_scores_on_an_edge_count_upwards():
    assert "0.15 to 0.20: 1 case" in bars(score_histogram("Dice", [0.15]))
    assert "0.30 to 0.35: 1 case" in bars(score_histogram("Dice", [0.3]))


def test_median_is_marked_and_told():
    svg = score_histogram("Dice of lesion", [0.1, 0.5, 0.6])
    (mark,) = (line for line in parsed(svg).iter("line") if line.get("class") == "mark")
    assert float(mark.get("x1")) == pytest.approx(34 + 0.5 * (408 - 34))
    assert parsed(svg).get("aria-label") == "Distribution of Dice of lesion over 3 cases: 0.10 to 0.60, median 0.50"


@pytest.mark.parametrize("values", [[], [math.nan]])
def test_no_scores(values):
    svg = score_histogram("Dice", values)
    assert parsed(svg).get("aria-label") == "Distribution of Dice: nothing was scored"
    assert bars(svg) == {}


def test_names_are_escaped():
    assert "<script>" not in score_histogram("<script>", [0.5])


def test_curve_goes_from_the_first_to_the_last_loss():
    svg = loss_curve([0.4, 0.2, 0.1])
    (curve,) = parsed(svg).iter("polyline")
    assert curve.get("points") == "34,14 221,74 408,104"
    assert len(list(parsed(svg).iter("circle"))) == 3
    assert parsed(svg).get("aria-label") == "Support loss over 3 optimizer steps, from 0.400 to 0.100"


@pytest.mark.parametrize("losses", [[0.7], [0.0, 0.0], [0.5] * 200])
def test_curves_of_any_length(losses):
    assert "nan" not in loss_curve(losses)
    assert parsed(loss_curve(losses)) is not None
