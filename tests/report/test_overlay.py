"""Overlays: outlines and shades lie where the labels are, on any proportions."""

from __future__ import annotations

import numpy as np
import pytest

from medtap.report.overlay import class_colour, draw_overlay

GREY = np.full((10, 20, 3), 100, np.uint8)


def labelled():
    labels = np.zeros((10, 20), np.uint8)
    labels[2:8, 5:15] = 1
    return labels


def drawn(**labels):
    return np.asarray(draw_overlay(GREY, (400, 100), 1, **labels)).astype(int)


def test_nothing_is_drawn_without_labels():
    assert np.array_equal(drawn(), np.full((100, 400, 3), 100))


def test_shade_fills_the_region_in_its_stretched_place():
    shaded = drawn(shaded=labelled())
    expected = 0.65 * 100 + 0.35 * np.array(class_colour(1))
    assert shaded[50, 200] == pytest.approx(expected, abs=2)
    assert shaded[50, 50].tolist() == [100] * 3


def test_outline_runs_along_the_stretched_edge():
    outlined = drawn(outlined=labelled())
    found = np.abs(outlined - class_colour(1)).max(axis=-1) < 40
    rows, columns = np.nonzero(found)
    assert (rows.min(), rows.max()) == pytest.approx((20, 80), abs=3)
    assert (columns.min(), columns.max()) == pytest.approx((100, 300), abs=4)
    assert outlined[50, 200].tolist() == [100] * 3


def test_colours_of_classes_differ():
    assert len({class_colour(label) for label in range(1, 31)}) == 30
