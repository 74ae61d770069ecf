"""Views of support images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Generator

from medtap.augmentation import augmented_views
from tests.tiny import random_masks


def pictures(count: int, classes: int = 1, size: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Images whose brightness tells the label, so that a view's mask can be read off the view."""
    masks = random_masks(count, classes, size)
    return (0.2 + 0.5 * masks[:, None] / classes).expand(-1, 3, -1, -1).contiguous(), masks


@pytest.mark.parametrize("classes", [1, 3])
def test_views_keep_shapes_types_and_labels(classes: int) -> None:
    images, masks = pictures(3, classes)
    seen, moved = augmented_views(images, masks, Generator().manual_seed(0))
    assert type(seen) is torch.Tensor
    assert type(moved) is torch.Tensor
    assert (seen.shape, seen.dtype) == (images.shape, images.dtype)
    assert (moved.shape, moved.dtype) == (masks.shape, masks.dtype)
    assert seen.min() >= 0
    assert seen.max() <= 1
    assert set(moved.unique().tolist()) <= set(masks.unique().tolist())


def test_mask_moves_with_its_image() -> None:
    images, masks = pictures(8)
    seen, moved = augmented_views(images, masks, Generator().manual_seed(0))
    for view, mask in zip(seen[:, 0], moved, strict=True):
        bright = view > (view.min() + view.max()) / 2
        assert (bright & (mask == 1)).sum() / (bright | (mask == 1)).sum() > 0.9
    assert all(not torch.equal(new, old) for new, old in zip(moved, masks, strict=True))


def test_same_seed_same_views_and_other_seed_others() -> None:
    images, masks = pictures(2)
    first = augmented_views(images, masks, Generator().manual_seed(1))
    again = augmented_views(images, masks, Generator().manual_seed(1))
    other = augmented_views(images, masks, Generator().manual_seed(2))
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_views_follow_one_another() -> None:
    images, masks = pictures(1)
    generator = Generator().manual_seed(0)
    first, second = (augmented_views(images, masks, generator)[0] for _ in range(2))
    assert not torch.equal(first, second)
    both, _ = augmented_views(images.expand(2, -1, -1, -1), masks.expand(2, -1, -1), generator)
    assert not torch.equal(both[0], both[1])


def test_inputs_and_global_chance_are_untouched() -> None:
    images, masks = pictures(2)
    kept, state, numpy_state = images.clone(), torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    augmented_views(images, masks, Generator().manual_seed(0))
    assert torch.equal(images, kept)
    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002


@pytest.mark.parametrize("size", [32, 64, 256])
def test_shifts_are_small_at_any_size(size: int) -> None:
    """A centred disc stays in the picture, and its centre within a tenth of the side (turns leave the centre alone)."""
    line = (torch.arange(size) + 0.5) / size - 0.5
    disc = (line[:, None] ** 2 + line[None] ** 2 < 0.2**2).long().expand(6, -1, -1)
    images = disc[:, None].float().expand(-1, 3, -1, -1)
    _, moved = augmented_views(images, disc, Generator().manual_seed(0))
    for mask in moved:
        centre = mask.nonzero().float().mean(0) / size - 0.5
        assert centre.abs().max() < 0.1


def test_flip_may_be_left_out() -> None:
    line = torch.arange(64)
    images = (line / 64).expand(20, 3, 64, 64)
    masks = (line >= 32).long().expand(20, 64, 64)
    kept, _ = augmented_views(images, masks, Generator().manual_seed(0), "upright")
    turned, _ = augmented_views(images, masks, Generator().manual_seed(0))
    assert (kept[:, 0, 32, 0] < kept[:, 0, 32, -1]).all()
    assert 0 < int((turned[:, 0, 32, 0] > turned[:, 0, 32, -1]).sum()) < 20
