"""Scores against hand counts, SciPy's distances, scikit-image and plain NumPy loops."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import ndimage
from skimage.metrics import hausdorff_distance

from medtap.errors import InputError, OptionError
from medtap.metrics import score_case, summarise


def square(top, left, side, shape=(20, 24), label=1):
    labels = np.zeros(shape, np.uint8)
    labels[top : top + side, left : left + side] = label
    return labels


def blobs(seed, shape=(40, 48), classes=2):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 3)
    return np.digitize(noise, np.quantile(noise, np.linspace(0.6, 0.9, classes))).astype(np.uint8)


def surface_distances(first, second, spacing):
    """Every edge pixel's distance to the other mask's edge, by a dense distance transform."""
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (first, second)]
    fields = [ndimage.distance_transform_edt(~edge, sampling=spacing) for edge in edges]
    return fields[1][edges[0]], fields[0][edges[1]]


def test_two_overlapping_squares_by_hand():
    scores = score_case(square(2, 2, 4), square(2, 4, 4), ["lesion"])
    assert scores.dice[0] == pytest.approx(2 * 8 / 32)
    assert scores.iou[0] == pytest.approx(8 / 24)
    assert (scores.intersection, scores.union, scores.size) == ((8, 8), (24, 24), 480)
    assert (scores.unit, scores.tolerance) == ("px", 2.0)
    assert scores.surface_dice[0] == pytest.approx(1.0)  # the squares are two pixels apart


@pytest.mark.parametrize("spacing", [None, (0.7, 1.9)])
@pytest.mark.parametrize("seed", range(3))
def test_plane_against_scipy(seed, spacing):
    prediction, truth = blobs(seed), np.roll(blobs(seed), 2, axis=1)
    scores = score_case(prediction, truth, ["a", "b"], spacing, tolerance=1.5)
    for index, label in enumerate((1, 2)):
        forth, back = surface_distances(prediction == label, truth == label, spacing or (1, 1))
        assert scores.hd95[index] == pytest.approx(max(np.percentile(forth, 95), np.percentile(back, 95)), rel=1e-5)
        both = np.concatenate([forth, back])
        assert scores.surface_dice[index] == pytest.approx((both <= 1.5).mean(), rel=1e-5)


def test_volume_against_scipy_in_mm():
    truth = blobs(5, (14, 20, 9), classes=1)
    prediction = np.roll(truth, 1, axis=2)
    scores = score_case(prediction, truth, ["organ"], (1.0, 0.5, 3.0))
    forth, back = surface_distances(prediction > 0, truth > 0, (1.0, 0.5, 3.0))
    assert scores.hd95[0] == pytest.approx(max(np.percentile(forth, 95), np.percentile(back, 95)), rel=1e-5)
    assert scores.surface_dice[0] == pytest.approx((np.concatenate([forth, back]) <= 1.0).mean(), rel=1e-5)
    assert (scores.unit, scores.tolerance) == ("mm", 1.0)


def test_shifted_square_against_scikit_image():
    prediction, truth = square(3, 2, 6), square(3, 7, 6)
    edges = [m.astype(bool) & ~ndimage.binary_erosion(m) for m in (prediction, truth)]
    assert score_case(prediction, truth, ["a"]).hd95[0] == pytest.approx(hausdorff_distance(*edges))


def test_position_in_a_larger_image_changes_nothing_but_the_background():
    small = score_case(blobs(1), blobs(2), ["a", "b"], (1, 2))
    padded = score_case(*(np.pad(blobs(s), ((30, 5), (0, 60))) for s in (1, 2)), ["a", "b"], (1, 2))
    assert padded == dataclasses.replace(small, size=padded.size)


def test_perfect_prediction():
    scores = score_case(blobs(3), blobs(3), ["a", "b"])
    assert scores.dice == scores.iou == scores.surface_dice == (1.0, 1.0)
    assert scores.hd95 == (0.0, 0.0)


def test_class_in_neither_map_is_not_scored():
    scores = score_case(square(2, 2, 4), square(2, 2, 4), ["a", "absent"])
    assert all(math.isnan(getattr(scores, name)[1]) for name in ("dice", "iou", "surface_dice", "hd95"))
    assert scores.row()["dice"] == 1.0


def test_two_empty_maps():
    empty = np.zeros((5, 6), np.uint8)
    scores = score_case(empty, empty, ["a"])
    assert math.isnan(scores.dice[0])
    assert scores.union == (0, 0)
    summary = summarise([scores], seed=0)
    assert summary["dice"] == summary["miou"] == summary["fb_iou"] == {"mean": None, "ci95": None}


@pytest.mark.parametrize("swap", [False, True])
def test_class_in_one_map_only_is_missed(swap):
    maps = [square(2, 2, 4), np.zeros((20, 24), np.uint8)]
    scores = score_case(*(maps[::-1] if swap else maps), ["a"])
    assert (scores.dice, scores.iou, scores.surface_dice) == ((0.0,), (0.0,), (0.0,))
    assert math.isnan(scores.hd95[0])


@pytest.mark.filterwarnings("error")
def test_scoring_is_quiet():
    score_case(square(4, 4, 1), np.zeros((20, 24), np.uint8), ["a", "absent"])
    score_case(blobs(1), blobs(2), ["a", "b"])


def test_one_pixel_each():
    scores = score_case(square(4, 4, 1), square(4, 7, 1), ["a"], (1.0, 2.0))
    assert scores.hd95[0] == pytest.approx(6.0)
    assert scores.dice[0] == 0.0


def test_row_names_each_class_only_if_there_are_several():
    one = score_case(blobs(1, classes=1), blobs(2, classes=1), ["a"]).row()
    two = score_case(blobs(1), blobs(2), ["a", "b"]).row()
    assert list(one) == ["dice", "iou", "surface_dice", "hd95"]
    assert two["dice"] == pytest.approx((two["dice[a]"] + two["dice[b]"]) / 2)


def test_refuses_maps_that_do_not_fit():
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
def test_refuses_a_spacing_that_does_not_fit(spacing):
    with pytest.raises(InputError, match="spacing does not fit the label maps; expected 2 positive numbers of mm"):
        score_case(square(0, 0, 2), square(0, 0, 2), ["a"], spacing)


def test_refuses_bad_options():
    case = score_case(square(0, 0, 2), square(0, 0, 2), ["a"])
    with pytest.raises(OptionError, match="tolerance is no distance; expected 0 or more; found -1"):
        score_case(square(0, 0, 2), square(0, 0, 2), ["a"], tolerance=-1)
    with pytest.raises(OptionError, match="too few bootstrap resamples"):
        summarise([case], seed=0, resamples=0)
    with pytest.raises(InputError, match="different classes cannot be pooled"):
        summarise([case, dataclasses.replace(case, classes=("b",))], seed=0)


@pytest.fixture
def cases():
    return [score_case(blobs(s), np.roll(blobs(s), s, axis=0), ["a", "b"]) for s in range(1, 9)]


def test_summary_pools_as_a_plain_loop_does(cases):
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


def test_bootstrap_interval_against_drawn_indices(cases):
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


def test_summary_is_seeded(cases):
    assert summarise(cases, seed=3) == summarise(cases, seed=3)
    assert summarise(cases, seed=3)["dice"]["ci95"] != summarise(cases, seed=4)["dice"]["ci95"]


def test_one_case_has_no_interval(cases):
    assert summarise(cases[:1], seed=0)["dice"]["ci95"] is None


def test_no_cases():
    summary = summarise([], seed=0)
    assert (summary["cases"], summary["per_class"], summary["dice"]["mean"]) == (0, {}, None)


def test_millimetres_and_pixels_are_not_averaged():
    mixed = [score_case(square(0, 0, 3), square(0, 1, 3), ["a"], spacing) for spacing in (None, (1, 1))]
    summary = summarise(mixed, seed=0)
    assert summary["unit"] == "mixed"
    assert summary["hd95"] == {"mean": None, "ci95": None}
    assert summary["dice"]["mean"] == pytest.approx(mixed[0].dice[0])
