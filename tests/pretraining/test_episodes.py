"""A stream of batches of tasks."""

from __future__ import annotations

import pytest
import torch
from torch import Generator

from medtap.pretraining.episodes import Stage, TaskStream
from medtap.pretraining.natural import NaturalEpisodes

STAGES = (Stage(steps=2, size=32, tasks=3, images=4), Stage(steps=3, size=40, tasks=1, images=2))


def natural() -> NaturalEpisodes:
    """Photographs whose red channel is nothing, which no generated picture is."""
    mask = torch.zeros((40, 40), dtype=torch.uint8)
    mask[10:30, 10:30] = 3
    return NaturalEpisodes((torch.zeros((3, 40, 40), dtype=torch.uint8),) * 6, (mask,) * 6, {3: tuple(range(6))})


def test_stages_follow_one_another() -> None:
    stream = TaskStream(STAGES, 0, None, 0.0)
    assert len(stream) == 5
    assert [stream.stage(step).size for step in range(5)] == [32, 32, 40, 40, 40]
    with pytest.raises(IndexError, match="step 5 lies behind the last stage"):
        stream.stage(5)


def test_batches_have_their_stage_s_shapes() -> None:
    stream = TaskStream(STAGES, 0, None, 0.0)
    images, masks = stream[1]
    assert images.shape == (3, 4, 3, 32, 32)
    assert masks.shape == (3, 4, 32, 32)
    assert stream[2][0].shape == (1, 2, 3, 40, 40)


def test_a_batch_is_determined_by_seed_and_step_alone() -> None:
    stream, again, other = (TaskStream(STAGES, seed, None, 0.0) for seed in (5, 5, 6))
    late, early = stream[1][0], stream[0][0]
    assert torch.equal(again[0][0], early)
    assert torch.equal(again[1][0], late)
    assert not torch.equal(early, late)
    assert not torch.equal(other[0][0], early)


@pytest.mark.parametrize(("share", "photographs"), [(0.0, False), (1.0, True)])
def test_share_of_natural_tasks(share: float, photographs: bool) -> None:
    images, masks = TaskStream(STAGES, 0, natural(), share)[0]
    flat = images.std((2, 3, 4)).max() < 1e-3
    assert bool(flat) == photographs
    assert (masks.mean((2, 3)) > 0).all()


def test_no_photographs_no_natural_tasks() -> None:
    assert torch.equal(TaskStream(STAGES, 0, None, 1.0)[0][0], TaskStream(STAGES, 0, None, 0.0)[0][0])


def test_loader_s_workers_see_the_same() -> None:
    stream = TaskStream(STAGES, 0, None, 0.0)
    generator_state = Generator().get_state()
    loaded = list(torch.utils.data.DataLoader(stream, batch_size=None, num_workers=1))
    assert len(loaded) == 5
    assert all(torch.equal(images, stream[step][0]) for step, (images, _) in enumerate(loaded))
    assert torch.equal(Generator().get_state(), generator_state)
