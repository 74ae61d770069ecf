"""Plain words: the numbers in them are right, and grammar holds for one and for many."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from medtap.adaptation import TapOptions
from medtap.adapters import Lora
from medtap.record import AdaptationRecord
from medtap.report.prose import adaptation_sentences, counted, listed, score_sentences
from tests.tiny import support_set, tiny_network


def metrics(mean=0.8, interval=(0.7, 0.9), hd95=3.21, unit="mm", per_class=None):
    score = {"mean": mean, "ci95": None if interval is None else list(interval)}
    return {
        "dice": score,
        "hd95": {"mean": hd95, "ci95": None},
        "unit": unit,
        "per_class": {name: {"dice": {"mean": value}} for name, value in (per_class or {"a": mean}).items()},
    }


def said(*arguments, **options):
    return " ".join(score_sentences(metrics(**options), *arguments))


def test_mean_and_interval():
    assert "a mean Dice score of 0.800, 95 % interval 0.700 to 0.900." in said([0.8] * 30)
    assert "a mean Dice score of 0.800. 1 is" in said([0.8], interval=None)


def test_spread_and_poor_cases():
    text = said([0.1, 0.15, *[0.8] * 28])
    assert "Half of the cases score above 0.80, and one in ten below 0.80." in text
    assert "2 cases score below 0.2: look at these first." in text
    assert "1 case scores below 0.2" in said([0.1, *[0.8] * 28])
    assert "No case scores below 0.2." in said([0.8] * 30)


def test_distance_names_its_unit():
    assert "within 3.2 mm of each other" in said([0.8] * 3)
    assert "within 3.2 pixels of each other" in said([0.8] * 3, unit="px")
    assert "outlines" not in said([0.8] * 3, hd95=None)


def test_best_and_worst_class():
    text = said([0.8] * 3, per_class={"left": 0.9, "right": 0.7, "absent": None})
    assert "It does best on left (0.900) and worst on right (0.700)." in text
    assert "best" not in said([0.8] * 3)


def test_few_cases_are_a_first_impression():
    assert "only 3 cases" in said([0.8, 0.8, 0.8, math.nan])
    assert "only" not in said([0.8] * 20)


def test_nothing_scored():
    assert "No case could be scored" in said([math.nan], mean=None)


@pytest.fixture
def record():
    support = support_set(2, classes=2)
    return AdaptationRecord.of(tiny_network(), support, Lora(), TapOptions(seed=7), [0.5, 0.4], 1.0)


def test_adaptation(record):
    first, second = adaptation_sentences(record)
    assert first.startswith("The network tiny was shown 2 annotated images of class-1 and class-2, drawn by seed 7.")
    assert second.startswith("Its encoder was adapted by lora in 2 steps of Take a Peek")


@pytest.mark.parametrize(
    ("method", "parts"),
    [("decoder", "head was"), ("lora+decoder", "encoder and head were"), ("full", "encoder and head were")],
)
def test_what_a_method_adapts(record, method, parts):
    _, second = adaptation_sentences(replace(record, method=method))
    assert second.startswith(f"Its {parts} adapted by {method} in 2 steps")


@pytest.mark.parametrize(
    ("check", "why"),
    [({}, "no adaptation steps were asked for"), ({"strength": 0.0}, "nothing showed that adapting it would help")],
)
def test_why_nothing_was_adapted(record, check, why):
    _, second = adaptation_sentences(replace(record, losses=(), check=check))
    assert second.startswith("Its encoder was left as it was")
    assert why in second


def test_planes_of_volumes_and_no_steps(record):
    planes = tuple({**source, "plane": 3} for source in record.support)
    first, second = adaptation_sentences(replace(record, support=planes[:1], shots=1, losses=()))
    assert "was shown 1 annotated axial plane of" in first
    assert "left as it was" in second


def test_words():
    assert (counted(1, "case"), counted(2, "case"), counted(2, "class", "classes")) == (
        "1 case",
        "2 cases",
        "2 classes",
    )
    assert (listed(["a"]), listed(["a", "b"]), listed("abc")) == ("a", "a and b", "a, b and c")
