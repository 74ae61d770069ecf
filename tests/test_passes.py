"""The passes stop where the support loss no longer falls."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Generator

from medtap.adaptation import take_a_peek
from medtap.adapted import AdaptedSegmenter
from medtap.adapters import Lora
from medtap.errors import OptionError
from medtap.losses import SUPPORT_LOSSES
from medtap.networks.segmenter import share_weights
from medtap.networks.shots import leave_one_out
from medtap.passes import SupportTraining, has_stalled, pseudo_queries, values
from medtap.record import AdaptationRecord
from medtap.tap_options import TapOptions
from tests.tiny import random_images, support_set, tiny_network

LORA = Lora(rank=2)


@pytest.mark.parametrize(
    ("losses", "patience", "stalled"),
    [
        ([], 1, False),
        ([3.0], 1, False),
        ([3.0, 2.0], 1, False),
        ([3.0, 3.0], 1, True),
        ([3.0, 4.0, 2.0], 1, False),
        ([3.0, 4.0, 2.0, 2.5, 2.1], 2, True),
        ([3.0, 4.0, 2.0, 2.5, 1.9], 2, False),
        ([3.0, 4.0, 5.0, 6.0], 0, False),
        ([3.0, 4.0, 5.0, 6.0], 4, False),
    ],
)
def test_patience_ends_after_so_many_passes_without_a_new_least_loss(
    losses: list[float], patience: int, stalled: bool
) -> None:
    assert has_stalled(losses, 1, patience) == stalled


def test_losses_of_several_steps_are_averaged_over_their_pass() -> None:
    assert not has_stalled([1.0, 5.0, 2.0, 3.0], 2, 1)
    assert has_stalled([1.0, 5.0, 2.0, 4.0], 2, 1)
    assert not has_stalled([1.0, 5.0, 2.0], 2, 1)


def adapted(patience: int, shots: int = 3, rate: float = 1e-9, **more: object) -> AdaptedSegmenter:
    """Adapted with a rate at which the loss stays where it is, unless another is given."""
    options = TapOptions(passes=6, learning_rate=rate, patience=patience, guard="none", weight_decay=0, **more)
    return take_a_peek(tiny_network(), support_set(shots), LORA, options)


def record_of(*given: object, **named: object) -> AdaptationRecord:
    record = adapted(*given, **named).record
    assert record is not None
    return record


@pytest.mark.parametrize(
    ("schedule", "shots", "steps"), [("per_pass", 3, 1), ("per_support", 3, 3), ("per_support", 1, 4)]
)
def test_passes_that_ran_are_recorded(schedule: str, shots: int, steps: int, tmp_path: Path) -> None:
    network = adapted(0, shots, schedule=schedule)
    assert network.record is not None
    assert (network.record.passes, len(network.record.losses)) == (6, 6 * steps)
    assert json.loads((network.save(tmp_path) / "manifest.json").read_text())["passes"] == 6


def test_a_loss_that_stays_stops_the_passes_and_one_that_falls_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SUPPORT_LOSSES, "dice_ce", lambda logits, _: logits.sum() * 0 + 1)
    assert record_of(2).losses == (1.0, 1.0, 1.0)
    assert record_of(2).passes == 3
    assert record_of(1, schedule="per_support").passes == 2
    monkeypatch.undo()
    assert record_of(1, rate=1e-3, precision="float32").passes == 6


def test_stopping_early_gives_what_fewer_passes_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medtap.passes.has_stalled", lambda losses, *_: len(losses) == 2)
    stopped = adapted(1, rate=1e-2)
    monkeypatch.undo()
    options = TapOptions(passes=2, learning_rate=1e-2, guard="none", weight_decay=0)
    plain = take_a_peek(tiny_network(), support_set(3), LORA, options)
    with torch.no_grad():
        assert torch.equal(stopped(random_images(1)), plain(random_images(1)))


def test_manifests_of_older_versions_do_not_tell_passes(tmp_path: Path) -> None:
    adapted(0).save(tmp_path)
    values = json.loads((tmp_path / "manifest.json").read_text())
    del values["passes"]
    (tmp_path / "manifest.json").write_text(json.dumps(values))
    assert AdaptationRecord.read(tmp_path).passes is None


def test_patience_that_cannot_be_is_refused() -> None:
    with pytest.raises(OptionError, match="patience of at least 0, not -1"):
        TapOptions(patience=-1)
    with pytest.raises(OptionError, match="no patience where the last passes are averaged"):
        TapOptions(patience=1, average=2)


def test_a_pass_by_groups_takes_every_support_image_once_and_looks_at_no_other_group() -> None:
    options = TapOptions(passes=2, schedule="per_group", group=4)
    images, masks = torch.arange(10.0).view(10, 1, 1, 1).expand(10, 3, 4, 4), torch.ones(10, 4, 4)
    steps = list(pseudo_queries(images, masks, options, torch.Generator().manual_seed(0)))
    assert [part for part, _ in steps] == [0, 0, 0, 1, 1, 1]
    assert options.steps_a_pass(10) == 3
    for part in range(2):
        groups = [step for own, step in steps if own == part]
        assert [len(step.images) for step in groups] == [4, 3, 3]
        assert sorted(torch.cat([step.images[:, 0, 0, 0] for step in groups]).tolist()) == list(range(10))
        assert all(step.shots.tolist() == leave_one_out(len(step.images)).tolist() for step in groups)
    assert not torch.equal(steps[0][1].images, steps[3][1].images)


def test_a_group_does_not_let_planes_of_a_volume_segment_one_another() -> None:
    options = TapOptions(passes=5, schedule="per_group", group=4)
    volumes = torch.arange(8) // 2
    images, masks = volumes.float().view(8, 1, 1, 1).expand(8, 3, 4, 4), torch.ones(8, 4, 4)
    for _, step in pseudo_queries(images, masks, options, torch.Generator().manual_seed(0), volumes):
        volume = step.images[:, 0, 0, 0]
        assert (volume[step.shots] != volume[step.queries, None]).all()


@pytest.mark.parametrize(("shots", "sizes"), [(3, [3]), (7, [3, 2, 2])])
def test_no_group_is_of_one_image(shots: int, sizes: list[int]) -> None:
    options = TapOptions(passes=1, schedule="per_group", group=2)
    steps = pseudo_queries(torch.rand(shots, 3, 4, 4), torch.ones(shots, 4, 4), options, torch.Generator())
    assert [len(step.images) for _, step in steps] == sizes
    assert options.steps_a_pass(shots) == len(sizes)


def test_a_small_support_set_is_one_group() -> None:
    by_group, by_pass = (
        next(pseudo_queries(torch.rand(4, 3, 4, 4), torch.ones(4, 4, 4), options, torch.Generator()))[1]
        for options in (TapOptions(schedule="per_group"), TapOptions())
    )
    assert by_group.shots.tolist() == by_pass.shots.tolist()


def test_a_part_of_the_support_set_is_given_as_many_steps() -> None:
    by_group = TapOptions(passes=8, average=4, schedule="per_group")
    assert (by_group.steps_a_pass(25), by_group.steps_a_pass(10)) == (5, 2)
    part = by_group.of_as_many_steps(5, 2)
    assert (part.passes, part.average, part.steps_a_pass(10) * part.passes) == (20, 10, 40)
    assert TapOptions().of_as_many_steps(1, 1) == TapOptions()
    assert TapOptions(passes=1, schedule="per_support").of_as_many_steps(2, 4).passes == 1


def test_masks_are_redrawn_in_every_step_for_shots_and_queries_alike() -> None:
    images, masks = random_images(4), torch.zeros(4, 64, 64, dtype=torch.int64)
    masks[:, 10:50, 12:48] = 1
    options = TapOptions(passes=3, disagreement=0.4)
    steps = [step for _, step in pseudo_queries(images, masks, options, Generator().manual_seed(0))]
    assert all(not torch.equal(step.masks, masks) for step in steps)
    assert not torch.equal(steps[0].masks, steps[1].masks)
    again = [step for _, step in pseudo_queries(images, masks, options, Generator().manual_seed(0))]
    assert all(torch.equal(step.masks, other.masks) for step, other in zip(steps, again, strict=True))
    assert torch.equal(steps[0].images, images)


def test_training_begins_with_the_values_it_is_given() -> None:
    support, network = support_set(3), share_weights(tiny_network())
    attached = LORA.attach(network.encoder)
    training = SupportTraining(network, attached, 1, TapOptions(passes=1, precision="float32"), {})
    training.start()
    begin = values(attached)
    (fresh,) = training.run(support.images, support.masks)
    assert training.run(support.images, support.masks, begin=begin) == [fresh]
    (further,) = training.run(support.images, support.masks, begin=[value + 0.1 for value in begin])
    assert further != fresh
