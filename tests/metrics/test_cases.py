"""Scores of one case against hand counts, SciPy's distances and scikit-image."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import ndimage
from skimage.metrics import hausdorff_distance

from medtap.errors import InputError, OptionError
from medtap.metrics import score_case
from tests.metrics.label_maps import blobs, square


def surface_distances(first: np.ndarray, second: np.ndarray, spacing: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Every edge pixel's distance to the other mask's edge, by a dense distance transform."""
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (first, second)]
    fields = [ndimage.distance_transform_edt(~edge, sampling=spacing) for edge in edges]
    return fields[1][edges[0]], fields[0][edges[1]]


def test_two_overlapping_squares_by_hand() -> None:
    scores = score_case(square(2, 2, 4), square(2, 4, 4), ["lesion"])
    assert scores.dice[0] == pytest.approx(2 * 8 / 32)
    assert scores.iou[0] == pytest.approx(8 / 24)
    assert (scores.intersection, scores.union, scores.size) == ((8, 8), (24, 24), 480)
    assert (scores.unit, scores.tolerance) == ("px", 2.0)
    assert scores.surface_dice[0] == pytest.approx(1.0)  # the squares are two pixels apart


@pytest.mark.parametrize("spacing", [None, (0.7, 1.9)])
@pytest.mark.parametrize("seed", range(3))
def test_plane_against_scipy(seed: int, spacing: tuple[float, float] | None) -> None:
    prediction, truth = blobs(seed), np.roll(blobs(seed), 2, axis=1)
    scores = score_case(prediction, truth, ["a", "b"], spacing, tolerance=1.5)
    for index, label in enumerate((1, 2)):
        forth, back = surface_distances(prediction == label, truth == label, spacing or (1, 1))
        assert scores.hd95[index] == pytest.approx(max(np.percentile(forth, 95), np.percentile(back, 95)), rel=1e-5)
        both = np.concatenate([forth, back])
        assert scores.surface_dice[index] == pytest.approx((both <= 1.5).mean(), rel=1e-5)


def test_volume_against_scipy_in_mm() -> None:
    truth = blobs(5, (14, 20, 9), classes=1)
    prediction = np.roll(truth, 1, axis=2)
    scores = score_case(prediction, truth, ["organ"], (1.0, 0.5, 3.0))
    forth, back = surface_distances(prediction > 0, truth > 0, (1.0, 0.5, 3.0))
    assert scores.hd95[0] == pytest.approx(max(np.percentile(forth, 95), np.percentile(back, 95)), rel=1e-5)
    assert scores.surface_dice[0] == pytest.approx((np.concatenate([forth, back]) <= 1.0).mean(), rel=1e-5)
    assert (scores.unit, scores.tolerance) == ("mm", 1.0)


def test_shifted_square_against_scikit_image() -> None:
    prediction, truth = square(3, 2, 6), square(3, 7, 6)
    edges = [m.astype(bool) & ~ndimage.binary_erosion(m) for m in (prediction, truth)]
    assert score_case(prediction, truth, ["a"]).hd95[0] == pytest.approx(hausdorff_distance(*edges))


def test_position_in_a_larger_image_changes_nothing_but_the_background() -> None:
    small = score_case(blobs(1), blobs(2), ["a", "b"], (1, 2))
    prediction, truth = (np.pad(blobs(seed), ((30, 5), (0, 60))) for seed in (1, 2))
    padded = score_case(prediction, truth, ["a", "b"], (1, 2))
    assert padded == dataclasses.replace(small, size=padded.size)


def test_perfect_prediction() -> None:
    scores = score_case(blobs(3), blobs(3), ["a", "b"])
    assert scores.dice == scores.iou == scores.surface_dice == (1.0, 1.0)
    assert scores.hd95 == (0.0, 0.0)


def test_class_in_neither_map_is_not_scored() -> None:
    scores = score_case(square(2, 2, 4), square(2, 2, 4), ["a", "absent"])
    assert all(math.isnan(getattr(scores, name)[1]) for name in ("dice", "iou", "surface_dice", "hd95"))
    assert scores.row()["dice"] == 1.0


def test_two_empty_maps() -> None:
    empty = np.zeros((5, 6), np.uint8)
    scores = score_case(empty, empty, ["a"])
    assert math.isnan(scores.dice[0])
    assert scores.union == (0, 0)


@pytest.mark.parametrize("swap", [False, True])
def test_class_in_one_map_only_is_missed(swap: bool) -> None:
    found, empty = square(2, 2, 4), np.zeros((20, 24), np.uint8)
    scores = score_case(empty, found, ["a"]) if swap else score_case(found, empty, ["a"])
    assert (scores.dice, scores.iou, scores.surface_dice) == ((0.0,), (0.0,), (0.0,))
    assert math.isnan(scores.hd95[0])


@pytest.mark.filterwarnings("error")
def test_scoring_is_quiet() -> None:
    score_case(square(4, 4, 1), np.zeros((20, 24), np.uint8), ["a", "absent"])
    score_case(blobs(1), blobs(2), ["a", "b"])


def test_one_pixel_each() -> None:
    scores = score_case(square(4, 4, 1), square(4, 7, 1), ["a"], (1.0, 2.0))
    assert scores.hd95[0] == pytest.approx(6.0)
    assert scores.dice[0] == 0.0


def test_row_names_each_class_only_if_there_are_several() -> None:
    one = score_case(blobs(1, classes=1), blobs(2, classes=1), ["a"]).row()
    two = score_case(blobs(1), blobs(2), ["a", "b"]).row()
    assert list(one) == ["dice", "iou", "surface_dice", "hd95"]
    assert two["dice"] == pytest.approx((two["dice[a]"] + two["dice[b]"]) / 2)


def test_refuses_maps_that_do_not_fit() -> None:
    plane = np.zeros((4, 4), np.uint8)
    with pytest.raises(InputError, match=r"differ in shape; expected \(4, 4\); found \(4, 5\)"):
        score_case(np.zeros((4, 5), np.uint8), plane, ["a"])
    with pytest.raises(InputError, match="must be 2D or 3D; found 1 dimensions"):
        score_case(plane[0], plane[0], ["a"])
    with pytest.raises(InputError, match="the prediction holds unknown labels; expected labels 0 to 1; found 0 to 2"):
        score_case(square(0, 0, 2, label=2), np.zeros((20, 24), np.uint8), ["a"])
    with pytest.raises(InputError, match="the truth holds unknown labels"):
        score_case(np.zeros((20, 24), np.int16), square(0, 0, 2).astype(np.int16) * -1, ["a"])


@pytest.mark.parametrize("spacing", [(1.0,), (1.0, 0.0), (1.0, float("nan"))])
def test_refuses_a_spacing_that_does_not_fit(spacing: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="spacing does not fit the label maps; expected 2 positive numbers of mm"):
        score_case(square(0, 0, 2), square(0, 0, 2), ["a"], spacing)


@pytest.mark.parametrize("tolerance", [-1, float("inf")])
def test_refuses_a_tolerance_that_is_no_distance(tolerance: float) -> None:
    with pytest.raises(OptionError, match=f"tolerance is no distance; expected 0 or more; found {tolerance}"):
        score_case(square(0, 0, 2), square(0, 0, 2), ["a"], tolerance=tolerance)
