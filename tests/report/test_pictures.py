"""Pictures of cases: the right plane in the right proportions, small, with both label maps."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from medtap.report.overlay import class_colour
from medtap.report.pictures import take_picture


def square(shape=(64, 64), label=1):
    labels = np.zeros(shape, np.uint8)
    labels[16:48, 16:48] = label
    return labels


def opened(jpeg):
    return np.asarray(Image.open(io.BytesIO(jpeg))).astype(int)


def test_prediction_is_shaded_and_truth_outlined():
    picture = take_picture(np.full((3, 64, 64), 0.5), square(), np.zeros((64, 64), np.uint8), 1)
    drawn = opened(picture.draw(1))
    assert drawn.shape == (384, 384, 3)
    assert drawn[192, 192] == pytest.approx(0.65 * 128 + 0.35 * np.array(class_colour(1)), abs=6)
    assert drawn[20, 20] == pytest.approx([128] * 3, abs=4)
    found = np.abs(drawn - class_colour(1)).max(axis=-1) < 30
    assert not found.any()
    outlined = opened(take_picture(np.full((3, 64, 64), 0.5), 0 * square(), square(), 1).draw(1))
    assert (np.abs(outlined - class_colour(1)).max(axis=-1) < 30).sum() > 500
    assert outlined[192, 192] == pytest.approx([128] * 3, abs=6)


def test_without_a_truth_the_prediction_is_outlined_too():
    drawn = opened(take_picture(np.full((1, 64, 64), 0.5), square(), None, 1).draw(1))
    assert (np.abs(drawn - class_colour(1)).max(axis=-1) < 30).sum() > 500


@pytest.mark.parametrize("known", [True, False])
def test_of_a_volume_the_fullest_plane_is_shown(known):
    image = np.linspace(0, 1, 5)[None, None, None] * np.ones((1, 8, 8, 1))
    empty, full = np.zeros((8, 8, 5), np.uint8), np.zeros((8, 8, 5), np.uint8)
    full[2:6, 2:6, 3] = 1
    full[2:4, 2:4, 1] = 1
    picture = take_picture(image, empty if known else full, full if known else None, 1)
    assert (picture.plane, picture.planes) == (4, 5)
    assert opened(picture.draw(1))[5, 5] == pytest.approx([0.75 * 255] * 3, abs=4)


def test_of_an_empty_volume_the_middle_plane_is_shown():
    empty = np.zeros((8, 8, 5), np.uint8)
    assert take_picture(np.zeros((1, 8, 8, 5)), empty, None, 1).plane == 3


def test_images_have_no_plane():
    picture = take_picture(np.zeros((3, 8, 8)), np.zeros((8, 8), np.uint8), None, 1)
    assert (picture.plane, picture.planes) == (None, None)


def test_planes_are_shown_in_mm():
    labels = np.zeros((10, 40), np.uint8)
    assert take_picture(np.zeros((3, 10, 40)), labels, None, 1, (4.0, 2.0)).size == (384, 192)
    assert take_picture(np.zeros((3, 10, 40)), labels, None, 1).size == (384, 96)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (2000, 3), (700, 900)])
def test_any_size_stays_small(shape):
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, shape).astype(np.uint8)
    picture = take_picture(random.random((3, *shape)), labels, labels, 1)
    assert max(picture.shape) <= 256
    assert len(picture.image) + len(picture.found) < 60_000
    assert max(opened(picture.draw(1)).shape) == 384


def test_shares_are_of_the_whole_plane():
    labels = square((64, 128))
    labels[:16, :32] = 2
    assert take_picture(np.zeros((3, 64, 128)), labels, None, 2).shares == (0.125, 0.0625)
