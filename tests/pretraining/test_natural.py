"""Episodes from natural photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Generator

from medtap.errors import InputError
from medtap.pretraining.natural import NaturalEpisodes


def write(folder: Path, count: int, label: int = 7) -> Path:
    """Photographs of 60 x 40 with a bright square of one class in the middle, framed by a border of 255."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        mask = np.zeros((40, 60), np.uint8)
        mask[[0, -1]] = mask[:, [0, -1]] = 255
        mask[12:28, 20:40] = label
        pixels = np.where(mask[..., None] == label, 220, 40 + index).repeat(3, 2).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{index:03}.jpg")
        Image.fromarray(mask).save(folder / "masks" / f"{index:03}.png")
    return folder


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    return write(tmp_path / "natural", 8)


def test_what_is_read(photographs: Path) -> None:
    episodes = NaturalEpisodes.read(photographs, side=20, every=0)
    assert len(episodes.images) == 8
    assert all(image.shape == (3, 20, 30) and image.dtype == torch.uint8 for image in episodes.images)
    assert all(mask.shape == (20, 30) for mask in episodes.masks)
    assert episodes.members == {7: tuple(range(8))}


def test_every_so_many_are_held_out(tmp_path: Path) -> None:
    folder = write(tmp_path, 12)
    train = NaturalEpisodes.read(folder, 20, every=4)
    held_out = NaturalEpisodes.read(folder, 20, every=4, held_out=True)
    assert (len(train.images), len(held_out.images)) == (9, 3)
    assert held_out.members == {}
    kept = {int(image.min()) for image in train.images} & {int(image.min()) for image in held_out.images}
    assert not kept


def test_task_of_more_pictures_than_there_are_is_refused(photographs: Path) -> None:
    with pytest.raises(InputError, match="no class is seen in 9 photographs; read more"):
        NaturalEpisodes.read(photographs, 40, every=0).task(9, 32, Generator())


@pytest.mark.parametrize("images", [2, 8])
def test_tasks_show_their_class(photographs: Path, images: int) -> None:
    episodes = NaturalEpisodes.read(photographs, 40, every=0)
    for seed in range(20):
        seen, masks = episodes.task(images, 32, Generator().manual_seed(seed))
        assert seen.shape == (images, 3, 32, 32)
        assert masks.shape == (images, 32, 32)
        assert seen.min() >= 0
        assert seen.max() <= 1
        assert set(masks.unique().tolist()) <= {0.0, 1.0}
        assert (masks.mean((1, 2)) > 0).all()


def test_mask_lies_on_its_object(photographs: Path) -> None:
    episodes = NaturalEpisodes.read(photographs, 40, every=0)
    for seed in range(10):
        images, masks = episodes.task(3, 48, Generator().manual_seed(seed))
        grey = images.mean(1)
        for picture, mask in zip(grey, masks.bool(), strict=True):
            inside, outside = picture[mask].mean(), picture[~mask].mean()
            middle = (inside + outside) / 2
            agree = ((picture > middle) == (mask if inside > outside else ~mask)).float().mean()
            assert agree > 0.95


def test_tasks_are_seeded(photographs: Path) -> None:
    episodes = NaturalEpisodes.read(photographs, 40, every=0)
    first, again, other = (episodes.task(3, 32, Generator().manual_seed(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_folder_without_photographs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no photographs to train on; expected images/\*.jpg .*`natural.folder`"):
        NaturalEpisodes.read(tmp_path, 20)


def test_photograph_without_a_mask_is_refused(photographs: Path) -> None:
    (photographs / "masks" / "003.png").unlink()
    with pytest.raises(InputError, match=r"003.jpg: a photograph without a mask; expected .*003.png"):
        NaturalEpisodes.read(photographs, 20)


def test_too_few_photographs_of_a_class_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no class is seen in at least six photographs"):
        NaturalEpisodes.read(write(tmp_path, 5), 20, every=0)


def test_photographs_of_the_project_s_data(data_root: Path) -> None:
    folder = data_root / "natural"
    if not folder.is_dir():
        pytest.skip(f"no photographs at {folder}")
    episodes = NaturalEpisodes.read(folder, 32, every=40, held_out=True)
    assert len(episodes.images) > 10
    assert episodes.members
    images, masks = episodes.task(6, 64, Generator().manual_seed(0))
    assert images.shape == (6, 3, 64, 64)
    assert masks.sum() > 0


def test_pictures_without_a_class_come_from_photographs_that_were_annotated_for_it():
    def mask(*labels):
        drawn = torch.zeros((40, 40), dtype=torch.uint8)
        for row, label in enumerate(labels):
            drawn[20 * row : 20 * row + 20] = label
        return drawn

    masks = [mask(3, 4)] * 6 + [mask(4)] + [mask(9)]  # of 9 nobody told 3
    images = [torch.full((3, 40, 40), 30 * index, dtype=torch.uint8) for index in range(8)]
    episodes = NaturalEpisodes(tuple(images), tuple(masks), {3: tuple(range(6))})
    assert episodes._others(3) == [6]
    assert [bool(part.any()) for part in episodes.task(4, 32, Generator().manual_seed(0), 2)[1]] == [True] * 2 + [
        False
    ] * 2
    alone = NaturalEpisodes(tuple(images[:6]), tuple(masks[:6]), {3: tuple(range(6))})
    assert bool(alone.task(4, 32, Generator().manual_seed(0), 2)[1].flatten(1).any(1).all())
