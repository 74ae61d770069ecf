"""A stream of batches of tasks."""

from __future__ import annotations

import pytest
import torch
from torch import Generator

from medtap.errors import OptionError
from medtap.pretraining.episodes import Round, Stage, TaskStream
from medtap.pretraining.families import LACKING, SCENES, build_families
from medtap.pretraining.natural import NaturalEpisodes

STAGES = (Stage(2, 32, pictures=12, images=[4]), Stage(3, 40, pictures=2, images=[2]))


def natural() -> NaturalEpisodes:
    """Photographs whose red channel is nothing, which no generated picture is."""
    mask = torch.zeros((40, 40), dtype=torch.uint8)
    mask[10:30, 10:30] = 3
    return NaturalEpisodes((torch.zeros((3, 40, 40), dtype=torch.uint8),) * 6, (mask,) * 6, {3: tuple(range(6))})


def test_stages_follow_one_another() -> None:
    stream = TaskStream(STAGES, 0, SCENES)
    assert len(stream) == 5
    assert [stream.stage(step).size for step in range(5)] == [32, 32, 40, 40, 40]
    with pytest.raises(IndexError, match="step 5 lies behind the last stage"):
        stream.stage(5)


def test_batches_have_their_stage_s_shapes() -> None:
    stream = TaskStream(STAGES, 0, SCENES)
    images, masks = stream[1]
    assert images.shape == (3, 4, 3, 32, 32)
    assert masks.shape == (3, 4, 32, 32)
    assert stream[2][0].shape == (1, 2, 3, 40, 40)


def test_a_batch_is_determined_by_seed_and_step_alone() -> None:
    stream, again, other = (TaskStream(STAGES, seed, SCENES) for seed in (5, 5, 6))
    late, early = stream[1][0], stream[0][0]
    assert torch.equal(again[0][0], early)
    assert torch.equal(again[1][0], late)
    assert not torch.equal(early, late)
    assert not torch.equal(other[0][0], early)


@pytest.mark.parametrize(("share", "photographs"), [(0.0, False), (1.0, True)])
def test_tasks_are_drawn_from_the_stage_s_mix(share: float, photographs: bool) -> None:
    mix = {"natural": share, "generated": 1 - share}
    stream = TaskStream((Stage(1, 32, mix=mix),), 0, build_families({*mix}, natural()))
    images, masks = stream[0]
    flat = images.std((2, 3, 4)).max() < 1e-3
    assert bool(flat) == photographs
    assert (masks.mean((2, 3)) > 0).all()


def test_pictures_of_a_step_are_shared_out_to_tasks() -> None:
    stream = TaskStream((Stage(12, 32, pictures=12, images=[2, 4, 6]),), 0, SCENES)
    shapes = {tuple(stream[step][0].shape[:2]) for step in range(12)}
    assert shapes == {(6, 2), (3, 4), (2, 6)}


def test_processes_share_a_step_s_tasks_out() -> None:
    whole = TaskStream(STAGES, 0, SCENES)
    shares = [TaskStream((Stage(2, 32, pictures=12, images=[2, 3]),), 0, SCENES, (rank, 2)) for rank in range(2)]
    for step in range(2):
        first, second = (share[step][0] for share in shares)
        assert first.shape == second.shape
        assert first.shape[0] * first.shape[1] == 6
        assert not any(torch.equal(one, other) for one in first for other in second)
    assert torch.equal(TaskStream(STAGES[:1], 0, SCENES, (0, 3))[0][0], whole[0][0][:1])


def test_tasks_that_cannot_be_shared_out_are_refused() -> None:
    with pytest.raises(OptionError, match=r"to 2 processes; expected tasks in multiples of 2; found 3 of 4 images"):
        TaskStream(STAGES[:1], 0, SCENES, (1, 2))


def test_rounds_begin_where_a_stage_restarts() -> None:
    stages = (Stage(3, 32, learning_rate=0.1), Stage(2, 64), Stage(4, 32, learning_rate=0.2, restart=True))
    assert TaskStream(stages, 0, SCENES).rounds() == [Round(0, 5, 0.1), Round(5, 9, 0.2)]


def test_loader_s_workers_see_the_same() -> None:
    stream = TaskStream(STAGES, 0, SCENES)
    generator_state = Generator().get_state()
    loaded = list(torch.utils.data.DataLoader(stream, batch_size=None, num_workers=1))
    assert len(loaded) == 5
    assert all(torch.equal(images, stream[step][0]) for step, (images, _) in enumerate(loaded))
    assert torch.equal(Generator().get_state(), generator_state)


@pytest.mark.parametrize("name", sorted(LACKING))
def test_the_last_pictures_of_a_task_lack_its_class(name: str) -> None:
    stage = Stage(3, 48, pictures=6, images=[6], mix={name: 1.0}, lacking=0.34)
    photographs = with_others()
    stream = TaskStream((stage,), 0, build_families({name}, photographs))
    shown = torch.cat([stream[step][1].flatten(2).any(2) for step in range(3)])
    assert bool(shown[:, :4].all())
    assert int(shown[:, 4:].sum()) <= (name == "brain")  # where no level lacks the class, a slice shows a little


def test_families_that_always_show_their_class_go_on_doing_so() -> None:
    stage = Stage(1, 48, pictures=6, images=[6], mix={"thin": 1.0}, lacking=0.34)
    assert bool(TaskStream((stage,), 0, SCENES)[0][1].flatten(2).any(2).all())


@pytest.mark.parametrize("lacking", [-0.1, 0.8, 1.0])
def test_too_many_pictures_without_their_class_are_refused(lacking: float) -> None:
    with pytest.raises(OptionError, match="a share of at least 0 that leaves 2 pictures of each task"):
        Stage(1, 48, pictures=6, images=[4], lacking=lacking)


@pytest.mark.parametrize("disagreement", [-0.1, 0.6])
def test_masks_that_cannot_be_redrawn_so_are_refused(disagreement: float) -> None:
    with pytest.raises(OptionError, match="a disagreement of 0 to"):
        Stage(1, 48, pictures=6, disagreement=disagreement)


def with_others() -> NaturalEpisodes:
    """The photographs, and as many of random colours without their class, annotated for it."""
    known = natural()
    known.masks[0][0] = 5
    others = torch.randint(256, (6, 3, 40, 40), dtype=torch.uint8, generator=Generator().manual_seed(0))
    beside = (torch.full((40, 40), 5, dtype=torch.uint8),) * 6
    return NaturalEpisodes((*known.images, *others), (*known.masks, *beside), known.members)
