from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from medtap.errors import OptionError
from medtap.workflows.clean import CLEANING, cleaning


def cleaned(labels, way, classes=1):
    """Labels after every step of a way of cleaning."""
    value = torch.from_numpy(labels)[None]
    for step in cleaning(way, classes):
        value = step(value)
    return np.asarray(value)[0]


@pytest.fixture
def pieces():
    """Two pieces of label 1 in a volume, the larger one hollow, and label 2 apart."""
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[1:6, 1:6, 1:6], labels[3, 3, 3], labels[9:11, 9:11, 9:11], labels[1:3, 9:11, 9:11] = 1, 0, 1, 2
    return labels


def test_the_largest_piece_of_each_class_stays(pieces):
    numbered, _ = ndimage.label(pieces == 1)
    expected = numbered == np.bincount(numbered.ravel())[1:].argmax() + 1
    found = cleaned(pieces, "largest", classes=2)
    np.testing.assert_array_equal(found == 1, expected)
    np.testing.assert_array_equal(found == 2, pieces == 2)


def test_holes_are_filled_in_three_dimensions(pieces):
    np.testing.assert_array_equal(cleaned(pieces, "holes") == 1, ndimage.binary_fill_holes(pieces == 1))


def test_both_is_one_after_the_other(pieces):
    np.testing.assert_array_equal(cleaned(pieces, "both"), cleaned(cleaned(pieces, "largest"), "holes"))


@pytest.mark.parametrize("way", CLEANING)
def test_an_empty_mask_stays_empty(way):
    assert not cleaned(np.zeros((6, 6), np.uint8), way).any()


def test_none_does_nothing():
    assert cleaning("none", 3) == []


def test_an_unknown_way_is_refused_with_the_nearest():
    with pytest.raises(OptionError, match=r"unknown way of cleaning.*none, largest, holes, both.*mean largest\?"):
        cleaning("larges", 1)
