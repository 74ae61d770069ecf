"""Generated chest radiographs: their contract, and that the targets are what their names say."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from medtap.pretraining.radiograph import chest_radiographs


@pytest.fixture(scope="module")
def tasks() -> list[tuple[Tensor, Tensor]]:
    return [chest_radiographs(2, 96, Generator().manual_seed(seed)) for seed in range(40)]


def shows_both_lungs(mask: Tensor) -> bool:
    """Both halves of the picture hold a good part of the mask, the middle column next to nothing."""
    half = mask.shape[-1] // 2
    sides = min(mask[:, : half - 8].mean(), mask[:, half + 8 :].mean())
    return bool(sides > 0.1) and bool(mask[:, half].mean() < 0.15)


def overlap(one: Tensor, other: Tensor) -> float:
    """Jaccard index of two masks."""
    return float((one * other).sum() / torch.maximum(one, other).sum())


@pytest.mark.parametrize(("n", "size"), [(1, 96), (3, 130), (2, 257)])
def test_pictures_and_masks_keep_the_contract(n: int, size: int) -> None:
    images, masks = chest_radiographs(n, size, Generator().manual_seed(3))
    assert images.shape == (n, 3, size, size)
    assert masks.shape == (n, size, size)
    assert images.dtype == masks.dtype == torch.float32
    assert images.min() >= 0
    assert images.max() <= 1
    assert set(masks.unique().tolist()) <= {0.0, 1.0}


def test_the_generator_is_the_only_source_of_chance() -> None:
    one, other, unlike = (chest_radiographs(2, 96, Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])
    assert not torch.equal(one[0], unlike[0])


def test_the_target_fills_a_fair_share_of_nearly_every_task(tasks: list[tuple[Tensor, Tensor]]) -> None:
    shares = torch.stack([masks.mean((1, 2)) for _, masks in tasks])
    assert float(((shares > 0.004) & (shares < 0.95)).all(1).float().mean()) > 0.95


def test_about_two_thirds_of_the_tasks_ask_for_both_lungs(tasks: list[tuple[Tensor, Tensor]]) -> None:
    share = sum(shows_both_lungs(masks[0]) for _, masks in tasks) / len(tasks)
    assert 0.45 < share < 0.8


def test_lungs_stand_out_from_what_surrounds_them(tasks: list[tuple[Tensor, Tensor]]) -> None:
    contrasts = []
    for images, masks in tasks:
        if shows_both_lungs(masks[0]):
            ring = F.max_pool2d(masks, 13, 1, 6) - masks
            contrasts.append((images[0, 0][masks[0] > 0].mean() - images[0, 0][ring[0] > 0].mean()).abs())
    assert float((torch.stack(contrasts) > 0.03).float().mean()) > 0.85


def test_patients_of_a_task_are_alike_but_not_the_same(tasks: list[tuple[Tensor, Tensor]]) -> None:
    lungs = [masks for _, masks in tasks if shows_both_lungs(masks[0])]
    within = torch.tensor([overlap(masks[0], masks[1]) for masks in lungs])
    between = torch.tensor([overlap(one[0], other[0]) for one, other in pairwise(lungs)])
    assert within.max() < 0.98
    assert within.mean() > between.mean() + 0.02
