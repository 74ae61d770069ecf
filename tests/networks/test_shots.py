"""Leave-one-out over a memory."""

from __future__ import annotations

import pytest
import torch
from torch import Generator

from medtap.networks.classes import recall_classes, remember_classes
from medtap.networks.shots import leave_one_out, select_shots
from tests.tiny import random_images, random_masks, tiny_network


def test_every_other_shot_in_order() -> None:
    assert leave_one_out(2).tolist() == [[1], [0]]
    assert leave_one_out(4).tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]


@pytest.mark.parametrize("drawn", [1, 3, 5])
def test_drawn_shots_are_different_others(drawn: int) -> None:
    shots = leave_one_out(9, drawn, Generator().manual_seed(0))
    assert shots.shape == (9, drawn)
    for own, others in enumerate(shots.tolist()):
        assert len(set(others)) == drawn
        assert own not in others
        assert set(others) <= set(range(9))


def test_every_other_shot_is_drawn_about_as_often() -> None:
    generator = Generator().manual_seed(0)
    drawn = torch.cat([leave_one_out(6, 2, generator)[0] for _ in range(500)])
    counts = drawn.bincount(minlength=6)
    assert counts[0] == 0
    assert (counts[1:] - 200).abs().max() < 50


@pytest.mark.parametrize("drawn", [4, 10])
def test_as_many_as_there_are_takes_no_chance(drawn: int) -> None:
    generator = Generator().manual_seed(0)
    before = generator.get_state()
    assert torch.equal(leave_one_out(5, drawn, generator), leave_one_out(5))
    assert torch.equal(generator.get_state(), before)


def test_planes_of_a_volume_do_not_segment_one_another() -> None:
    assert leave_one_out(4, volumes=torch.tensor([7, 7, 9, 9])).tolist() == [[2, 3], [2, 3], [0, 1], [0, 1]]
    uneven = torch.tensor([0, 0, 0, 1, 2])
    shots = leave_one_out(5, volumes=uneven, generator=Generator().manual_seed(0))
    assert shots.shape == (5, 2)
    assert (uneven[shots] != uneven[:, None]).all()
    assert all(len(set(others)) == 2 for others in shots.tolist())
    assert leave_one_out(5, 1, Generator().manual_seed(0), uneven).shape == (5, 1)


def test_planes_of_the_only_volume_segment_one_another() -> None:
    assert torch.equal(leave_one_out(4, volumes=torch.zeros(4)), leave_one_out(4))


def test_select_shots_puts_queries_of_a_set_side_by_side() -> None:
    memory = (torch.arange(6).view(2, 3, 1),)
    (chosen,) = select_shots(memory, torch.tensor([[1, 2], [0, 2], [0, 1]]))
    assert chosen.squeeze(-1).tolist() == [[1, 2], [0, 2], [0, 1], [4, 5], [3, 5], [3, 4]]


@pytest.mark.parametrize("shots", [2, 5])
def test_leave_one_out_in_one_batch_equals_separate_forwards(shots: int) -> None:
    network = tiny_network()
    images, masks = random_images(shots), random_masks(shots)
    features = network.encode(images)
    memory = remember_classes(network, features, masks, 1)
    at_once = recall_classes(network, features, memory, masks.shape[-2:], leave_one_out(shots))
    for query in range(shots):
        others = [shot for shot in range(shots) if shot != query]
        alone = network(images[query : query + 1], images[others].unsqueeze(0), masks[others].unsqueeze(0).float())
        torch.testing.assert_close(at_once[query, 1], alone[0, 1] - alone[0, 0], atol=1e-5, rtol=1e-4)
