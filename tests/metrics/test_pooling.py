"""Scores pooled over cases of several images and classes, against hand-reckoned ones."""

from __future__ import annotations

import numpy as np
import pytest

from medtap.metrics import CaseScores, Pooled, bootstrap_weights, score_case


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (16, 16)).astype(np.uint8)


def score_noise(count: int) -> list[CaseScores]:
    return [score_case(noise(2 * index), noise(2 * index + 1), ("lung",)) for index in range(count)]


def pool(cases: list[CaseScores], images: list[str] | None = None, resamples: int = 300) -> Pooled:
    images = images or [str(index) for index in range(len(cases))]
    return Pooled(cases, bootstrap_weights(images, 0, resamples))


def test_classes_are_pooled_apart_and_then_averaged() -> None:
    whole, empty = np.ones((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    quarter = empty.copy()
    quarter[:2, :2] = 1
    cases = [score_case(whole, whole, ("a",)), score_case(quarter, whole, ("b",)), score_case(whole, whole, ("b",))]
    scores = pool(cases).scores()
    assert scores["miou"]["mean"] == pytest.approx((1 + (4 + 16) / 32) / 2)
    assert scores["pooled_dice"]["mean"] == pytest.approx((1 + 2 * 20 / (20 + 32)) / 2)
    assert scores["iou"]["mean"] == pytest.approx((1 + 4 / 16 + 1) / 3)
    assert scores["per_class"]["b"]["miou"]["mean"] == pytest.approx(20 / 32)
    assert scores["fb_iou"]["mean"] == pytest.approx((36 / 48 + 0 / 12) / 2)


def test_cases_of_one_image_are_drawn_together() -> None:
    weights = bootstrap_weights(["a", "b", "a", "c"], seed=0, resamples=50)
    assert weights.shape == (51, 4)
    assert (weights[0] == 1).all()
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[1:, 0] + weights[1:, 1] + weights[1:, 3] == 3).all()


def test_repeating_an_image_does_not_narrow_the_interval() -> None:
    cases = score_noise(6)
    once = pool(cases, resamples=2000).scores()["dice"]["ci95"]
    names = [str(index) for index in range(6)]
    together = pool(cases * 5, names * 5, resamples=2000).scores()["dice"]["ci95"]
    apart = pool(cases * 5, resamples=2000).scores()["dice"]["ci95"]
    assert np.ptp(together) == pytest.approx(np.ptp(once), rel=0.05)
    assert np.ptp(apart) < 0.7 * np.ptp(once)


def test_one_image_has_no_interval() -> None:
    assert pool(score_noise(2), ["a", "a"]).scores()["miou"]["ci95"] is None


@pytest.mark.parametrize("images", [[], ["a"], ["a", "a"]])
def test_fewer_than_two_images_are_not_resampled(images: list[str]) -> None:
    assert np.array_equal(bootstrap_weights(images, seed=0), np.ones((1, len(images))))


def test_numbers_name_images_as_well_as_words() -> None:
    assert np.array_equal(bootstrap_weights([0, 1, 0], seed=0), bootstrap_weights(["a", "b", "a"], seed=0))


def test_millimetres_and_pixels_are_not_averaged() -> None:
    cases = [score_case(noise(0), noise(1), ("a",), spacing) for spacing in (None, (1, 1))]
    assert [pool(of).unit for of in (cases[:1], cases[1:], cases)] == ["px", "mm", "mixed"]
    assert pool(cases).scores()["hd95"] == {"mean": None, "ci95": None}


def test_differences_are_paired() -> None:
    truth = [noise(index) for index in range(8)]
    worse = [np.where(np.arange(16)[:, None] < 15, mask, 0).astype(np.uint8) for mask in truth]
    good = pool([score_case(mask, mask, ("a",)) for mask in truth])
    bad = pool([score_case(found, mask, ("a",)) for found, mask in zip(worse, truth, strict=True)])
    told = bad.difference(good)
    assert told["miou"]["mean"] == pytest.approx(bad.scores()["miou"]["mean"] - 1)
    assert told["miou"]["ci95"][1] < 0
    assert bad.difference(bad)["dice"] == {"mean": 0.0, "ci95": [0.0, 0.0]}


def test_nothing_scored_has_no_mean() -> None:
    empty = np.zeros((4, 4), np.uint8)
    assert pool([score_case(empty, empty, ("a",))] * 2).scores()["dice"] == {"mean": None, "ci95": None}
