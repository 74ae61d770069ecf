"""The shape of classes in support masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from medtap.support_shape import ClassShape, support_shape


def masks_of(*pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(pictures)).long()


@pytest.fixture
def disc() -> np.ndarray:
    rows, columns = np.mgrid[:64, :64]
    return ((rows - 32) ** 2 + (columns - 32) ** 2 < 20**2).astype(np.int64)


def test_disc_is_one_piece_without_holes(disc: np.ndarray) -> None:
    assert support_shape(masks_of(disc, disc), ["spot"]) == {"spot": ClassShape(2, 1, holes=False)}


def test_the_most_pieces_of_any_mask_count(disc: np.ndarray) -> None:
    pair = disc.copy()
    pair[:, 28:36] = 0
    assert ndimage.label(pair)[1] == 2
    assert support_shape(masks_of(disc, pair, disc), ["spot"])["spot"].components == 2


def test_one_ring_tells_of_holes(disc: np.ndarray) -> None:
    ring = disc.copy()
    ring[28:36, 28:36] = 0
    assert support_shape(masks_of(disc, ring), ["spot"])["spot"].holes


def test_pieces_that_touch_at_a_corner_are_one() -> None:
    mask = np.kron(np.eye(2, dtype=np.int64), np.ones((8, 8), np.int64))
    assert support_shape(masks_of(np.pad(mask, 8)), ["spot"])["spot"].components == 1


def test_specks_are_no_pieces_and_no_holes(disc: np.ndarray) -> None:
    disc[2, 2] = 1
    disc[32, 32] = 0
    assert support_shape(masks_of(disc), ["spot"])["spot"] == ClassShape(1, 1, holes=False)


def test_classes_are_looked_at_apart(disc: np.ndarray) -> None:
    nested, plain = disc.copy(), disc.copy()
    nested[26:38, 26:38] = 2
    found = support_shape(masks_of(nested, plain), ["rim", "core"])
    assert found == {"rim": ClassShape(2, 1, holes=True), "core": ClassShape(1, 1, holes=False)}
