"""Random label maps."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Generator

from medtap.chance import pick, smooth_noise, uniform
from medtap.pretraining.scenes import SCENES, Scene, blob_depth, coordinates, regions


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
@pytest.mark.parametrize("size", [32, 45])
def test_scenes_give_label_maps_and_a_target(scene: Callable[[int, int, Generator], Scene], size: int) -> None:
    for seed in range(20):
        labels, target = scene(3, size, seeded(seed))
        assert labels.shape == (3, size, size)
        assert labels.dtype == torch.int64
        assert labels.min() >= 0
        assert labels.max() < 10
        assert target
        assert 0 not in target


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_scenes_are_seeded_and_leave_global_chance_alone(scene: Callable[[int, int, Generator], Scene]) -> None:
    state = torch.get_rng_state()
    first, again, other = (scene(2, 32, seeded(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_target_of_regions_is_there_and_background_is_not_it() -> None:
    for seed in range(20):
        labels, target = regions(2, 48, seeded(seed))
        assert target == (1,)
        assert torch.equal(labels[0], labels[1])
        assert 0 < (labels == 1).float().mean() <= 1


def test_uniform_and_pick_keep_their_bounds() -> None:
    draws = uniform(-2, 3, (1000,), seeded())
    assert draws.min() >= -2
    assert draws.max() < 3
    assert draws.mean().item() == pytest.approx(0.5, abs=0.2)
    generator = seeded()
    assert {pick(2, 4, generator) for _ in range(100)} == {2, 3, 4}


@pytest.mark.parametrize(("size", "cells"), [(64, 2), (64, 8), (45, 7), (32, 32), (33, 16)])
def test_smooth_noise_has_about_unit_deviation(size: int, cells: int) -> None:
    noise = smooth_noise((16, 2), size, cells, seeded())
    assert noise.shape == (16, 2, size, size)
    assert 0.5 < noise.std().item() < 1.2


def test_fewer_cells_are_smoother() -> None:
    steps = [smooth_noise((8, 1), 64, cells, seeded()).diff(dim=-1).abs().mean() for cells in (2, 8, 32)]
    assert steps[0] < steps[1] < steps[2]


def test_coordinates_are_pixel_centres() -> None:
    assert coordinates(2)[0].tolist() == [[-0.5, -0.5], [0.5, 0.5]]
    assert coordinates(2)[1].tolist() == [[-0.5, 0.5], [-0.5, 0.5]]


def test_smooth_blob_is_an_ellipse() -> None:
    depth = blob_depth(torch.tensor([[0.2, -0.1]]), torch.tensor([[0.5, 0.5]]), 0.0, 200, seeded())
    assert (depth > 0).float().mean().item() == pytest.approx(math.pi * 0.5**2 / 4, rel=0.01)
    rows, columns = (depth[0] > 0).nonzero(as_tuple=True)
    assert rows.float().mean().item() == pytest.approx(0.6 * 200, abs=1.5)
    assert columns.float().mean().item() == pytest.approx(0.45 * 200, abs=1.5)
