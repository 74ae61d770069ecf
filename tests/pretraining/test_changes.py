"""Tasks seen again: what is changed, what stays, and that chance is a seed's."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from medtap.pretraining import changes
from medtap.pretraining.changes import changed
from medtap.pretraining.families import SCENES, draw_task


def tasks(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = Generator().manual_seed(seed)
    drawn = [draw_task(SCENES[name], 4, 48, generator) for name in ("generated", "brain", "body")]
    images, masks = (torch.stack(part) for part in zip(*drawn, strict=True))
    return images, masks


@pytest.mark.parametrize("seed", range(6))
def test_pictures_and_masks_stay_what_they_are(seed: int) -> None:
    images, masks = tasks(seed)
    seen, cut = changed(images, masks, Generator().manual_seed(seed))
    assert (seen.shape, cut.shape) == (images.shape, masks.shape)
    assert 0 <= float(seen.min()) <= float(seen.max()) <= 1
    assert set(cut.unique().tolist()) == {0.0, 1.0}
    share = cut.mean((2, 3))
    assert float(share.min()) > 0.004
    assert not torch.equal(seen, images)
    assert not torch.equal(cut, masks)


def test_masks_move_with_their_pictures() -> None:
    _, masks = tasks()
    drawn = masks.unsqueeze(2).expand(-1, -1, 3, -1, -1)
    agreements = []
    for seed in range(12):
        seen, cut = changed(drawn, masks, Generator().manual_seed(seed))
        bright = seen.mean(2)
        within, without = ((bright * part).sum((2, 3)) / part.sum((2, 3)).clamp_min(1) for part in (cut, 1 - cut))
        agreements.append((within - without).abs())
    assert float(torch.stack(agreements).mean()) > 0.6


def test_a_picture_that_would_lose_its_class_stays_in_place() -> None:
    masks = torch.zeros(1, 2, 64, 64)
    masks[:, :, 0:5, 0:5] = 1  # in a corner, which shifts and turns often leave out
    images = torch.rand(1, 2, 3, 64, 64)
    for seed in range(20):
        _, cut = changed(images, masks, Generator().manual_seed(seed))
        assert float(cut.mean((2, 3)).min()) > 0.004


def test_the_same_seed_gives_the_same_and_another_seed_another() -> None:
    images, masks = tasks()
    first, again, other = (changed(images, masks, Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_empty_masks_are_left_alone() -> None:
    images, masks = torch.rand(1, 2, 3, 32, 32), torch.zeros(1, 2, 32, 32)
    seen, cut = changed(images, masks, Generator().manual_seed(0))
    assert float(cut.sum()) == 0
    assert bool(seen.isfinite().all())


def test_a_picture_without_its_class_moves_too() -> None:
    images, nothing = torch.rand(1, 2, 3, 64, 64), torch.zeros(1, 2, 64, 64)
    moved, cut = changes._moved(images, nothing, Generator().manual_seed(0))
    assert not bool(cut.any())
    assert not any(torch.equal(*pair) for pair in zip(moved[0], images[0], strict=True))
