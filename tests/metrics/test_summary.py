"""Scores of all cases against plain NumPy loops."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from medtap.errors import InputError, OptionError
from medtap.metrics import CaseScores, score_case, summarise
from tests.metrics.label_maps import blobs, square


@pytest.fixture
def cases() -> list[CaseScores]:
    return [score_case(blobs(s), np.roll(blobs(s), s, axis=0), ["a", "b"]) for s in range(1, 9)]


def test_summary_pools_as_a_plain_loop_does(cases: list[CaseScores]) -> None:
    summary = summarise(cases, seed=0)
    intersection, union, background = np.zeros(3), np.zeros(3), np.zeros(2)
    for s in range(1, 9):
        prediction, truth = blobs(s), np.roll(blobs(s), s, axis=0)
        for i, of in enumerate((lambda m: m > 0, lambda m: m == 1, lambda m: m == 2)):
            intersection[i] += (of(prediction) & of(truth)).sum()
            union[i] += (of(prediction) | of(truth)).sum()
        background += ((prediction + truth == 0).sum(), ((prediction == 0) | (truth == 0)).sum())
    iou = intersection / union
    assert summary["miou"]["mean"] == pytest.approx(iou[1:].mean())
    assert summary["fb_iou"]["mean"] == pytest.approx((iou[0] + background[0] / background[1]) / 2)
    assert summary["per_class"]["b"]["miou"]["mean"] == pytest.approx(iou[2])
    assert summary["dice"]["mean"] == pytest.approx(np.mean([np.mean(c.dice) for c in cases]))
    assert summary["per_class"]["a"]["hd95"]["mean"] == pytest.approx(np.mean([c.hd95[0] for c in cases]))
    assert (summary["cases"], summary["unit"]) == (8, "px")


def test_bootstrap_interval_against_drawn_indices(cases: list[CaseScores]) -> None:
    ours = summarise(cases, seed=1, resamples=30_000)
    drawn = np.random.default_rng(99).integers(0, 8, (30_000, 8))
    dice = np.array([np.mean(c.dice) for c in cases])[drawn].mean(axis=1)
    intersection, union = (
        np.array([getattr(c, n) for c in cases])[drawn].sum(axis=1) for n in ("intersection", "union")
    )
    miou = (intersection / union)[:, 1:].mean(axis=1)
    for name, reference in (("dice", dice), ("miou", miou)):
        difference = np.subtract(ours[name]["ci95"], np.percentile(reference, [2.5, 97.5]))
        assert np.abs(difference).max() < 0.1 * reference.std()


def test_summary_is_seeded(cases: list[CaseScores]) -> None:
    assert summarise(cases, seed=3) == summarise(cases, seed=3)
    assert summarise(cases, seed=3)["dice"]["ci95"] != summarise(cases, seed=4)["dice"]["ci95"]


def test_one_case_has_no_interval(cases: list[CaseScores]) -> None:
    assert summarise(cases[:1], seed=0)["dice"]["ci95"] is None


def test_no_cases() -> None:
    summary = summarise([], seed=0)
    assert (summary["cases"], summary["per_class"], summary["dice"]["mean"]) == (0, {}, None)


def test_millimetres_and_pixels_are_not_averaged() -> None:
    mixed = [score_case(square(0, 0, 3), square(0, 1, 3), ["a"], spacing) for spacing in (None, (1, 1))]
    summary = summarise(mixed, seed=0)
    assert summary["unit"] == "mixed"
    assert summary["hd95"] == {"mean": None, "ci95": None}
    assert summary["dice"]["mean"] == pytest.approx(mixed[0].dice[0])


def test_two_empty_maps_have_no_mean() -> None:
    empty = np.zeros((5, 6), np.uint8)
    summary = summarise([score_case(empty, empty, ["a"])], seed=0)
    assert summary["dice"] == summary["miou"] == summary["fb_iou"] == {"mean": None, "ci95": None}


def test_refuses_no_resamples(cases: list[CaseScores]) -> None:
    with pytest.raises(OptionError, match="too few bootstrap resamples; expected 1 or more; found 0"):
        summarise(cases, seed=0, resamples=0)


def test_refuses_cases_of_different_classes(cases: list[CaseScores]) -> None:
    with pytest.raises(InputError, match="different classes cannot be pooled"):
        summarise([*cases, dataclasses.replace(cases[0], classes=("a", "c"))], seed=0)
