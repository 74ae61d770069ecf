"""Tasks drawn of a fold."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Generator

from medtap.errors import InputError
from medtap.pretraining.folds import FoldEpisodes
from medtap.pretraining.folds.index_masks import read_pascal
from tests.pretraining.folds.tiny_folds import write_pascal


def episodes(folder: Path, *, mirrored: bool = False) -> FoldEpisodes:
    pictures = read_pascal(write_pascal(folder, [6, 7, 6, 7, 6, 1, 1, 1]), "train")
    return FoldEpisodes.of(pictures, {6, 7, 8}, 20, mirrored=mirrored)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def test_tasks_show_one_class_in_different_photographs(tmp_path: Path) -> None:
    images, masks = episodes(tmp_path).task(2, 32, seeded())
    assert images.shape == (2, 3, 32, 32)
    assert masks.shape == (2, 32, 32)
    assert images.min() >= 0
    assert images.max() <= 1
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(images[0], images[1])
    within = (images.mean(1) * masks).sum((1, 2)) / masks.sum((1, 2))
    beyond = (images.mean(1) * (1 - masks)).sum((1, 2)) / (1 - masks).sum((1, 2))
    assert (within > beyond + 0.15).all()
    torch.testing.assert_close(masks.mean((1, 2)), torch.full((2,), 12 * 16 / (30 * 40)), atol=0.02, rtol=0)


def test_only_classes_of_the_fold_in_enough_photographs_are_drawn(tmp_path: Path) -> None:
    fold = episodes(tmp_path)
    assert fold.members == {6: (0, 2, 4), 7: (1, 3)}
    assert (fold.shown(2), fold.shown(3), fold.shown(4)) == ([6, 7], [6], [])
    drawn = {tuple(sorted(_tones(fold, seed))) for seed in range(40)}
    assert len(drawn) == 4  # three pairs of one class, one of the other
    with pytest.raises(InputError, match="no class is seen in 4 photographs"):
        fold.task(4, 16, seeded())


def _tones(fold: FoldEpisodes, seed: int) -> list[float]:
    """What tells the photographs of a task apart."""
    return [round(float(image.mean()), 6) for image in fold.task(2, 16, seeded(seed))[0]]


def test_a_task_is_determined_by_its_generator(tmp_path: Path) -> None:
    fold = episodes(tmp_path)
    first, again = fold.task(3, 24, seeded(4)), fold.task(3, 24, seeded(4))
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_photographs_are_mirrored_with_their_masks_where_asked(tmp_path: Path) -> None:
    fold = episodes(tmp_path, mirrored=True)
    views = [fold._view(0, 6, 32, seeded(seed)) for seed in range(8)]
    masks = {mask.argmax(1).max().item() for _, mask in views}
    assert len(masks) == 2
    plain, turned = views[0], next(view for view in views if not torch.equal(view[1], views[0][1]))
    assert all(torch.equal(one, other.flip(-1)) for one, other in zip(plain, turned, strict=True))
