"""Meta-training: the loss, the schedule, and runs that are killed and resumed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from medtap.errors import AdaptationError
from medtap.networks.dense_attention import DenseAttentionSegmenter
from medtap.pretraining import meta_train
from medtap.pretraining.episodes import Stage, TaskStream
from medtap.pretraining.families import SCENES
from medtap.pretraining.losses import episode_iou
from medtap.pretraining.meta_train import MetaTrainer, MetaTrainOptions, schedule
from tests.tiny import tiny_network

STAGES = (
    Stage(3, 32, pictures=6, images=[3], looks=2),
    Stage(1, 40, pictures=3, images=[3]),
    Stage(3, 32, pictures=4, images=[4], passes=1, restart=True),
)
STREAM = TaskStream(STAGES, 0, SCENES)
OPTIONS = MetaTrainOptions(checkpoint_every=2, workers=0, bfloat16=False)


class Killed(BaseException):
    """What no trainer catches."""


def trainable() -> DenseAttentionSegmenter:
    return tiny_network().requires_grad_(True)


def trainer(folder: Path, options: MetaTrainOptions = OPTIONS) -> MetaTrainer:
    folder.mkdir(exist_ok=True)
    return MetaTrainer(trainable(), STREAM, options, folder)


def validate(network: nn.Module) -> dict[str, float]:
    return {"sum": float(sum(parameter.detach().sum() for parameter in network.parameters()))}


def log(folder: Path) -> list[dict[str, float]]:
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in entry.items() if name != "seconds_per_step"} for entry in entries]


@pytest.mark.parametrize("moment", ["training", "validation", "logging", "saving"])
@pytest.mark.parametrize("step", [pytest.param(2, marks=pytest.mark.slow), 5, pytest.param(6, marks=pytest.mark.slow)])
def test_killed_and_resumed_equals_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, step: int
) -> None:
    whole = trainer(tmp_path / "whole").run(validate)
    first = trainer(tmp_path / "killed")
    name = {"training": "_train_step", "validation": "_batches", "logging": "_log", "saving": "_save"}[moment]
    usual = getattr(first, name)

    def killed(*args: object) -> object:
        if first.step >= step:
            raise Killed
        return usual(*args)

    def validate_and_die(network: nn.Module) -> dict[str, float]:
        if first.step >= step:
            raise Killed
        return validate(network)

    if moment != "validation":
        monkeypatch.setattr(first, name, killed)
    with pytest.raises(Killed):
        first.run(validate_and_die if moment == "validation" else validate)
    second = trainer(tmp_path / "killed")
    assert second.step <= step
    resumed = second.run(validate)
    assert log(tmp_path / "killed") == log(tmp_path / "whole")
    assert [entry["step"] for entry in log(tmp_path / "whole")] == [2, 4, 6, 7]
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    first = trainer(tmp_path).run(validate)
    again = trainer(tmp_path)
    assert again.step == 7
    assert again.seconds > 0
    finished = again.run(validate)
    assert len(log(tmp_path)) == 4
    assert all(torch.equal(value, finished.state_dict()[name]) for name, value in first.state_dict().items())


def test_a_batch_is_learned_from_as_often_as_it_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, seen = trainer(tmp_path), []
    usual = made._learn

    def learn(images: torch.Tensor, *rest: object) -> float:
        seen.append((made.step, images))
        return usual(images, *rest)

    monkeypatch.setattr(made, "_learn", learn)
    made.run(validate)
    assert [step for step, _ in seen] == [0, 0, 1, 1, 2, 2, 3, 4, 5, 6]
    assert torch.equal(seen[0][1], STREAM[0][0])
    assert not torch.equal(seen[1][1], STREAM[0][0])


def test_half_written_checkpoint_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt.partial").write_bytes(b"half")
    assert trainer(tmp_path).step == 0


@pytest.mark.parametrize("multiplies", [True, False])
def test_bfloat16_is_used_where_the_device_multiplies_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, multiplies: bool
) -> None:
    monkeypatch.setattr(meta_train, "has_bfloat16", lambda _: multiplies)
    asked, single = (
        trainer(tmp_path / str(asked), replace(OPTIONS, bfloat16=asked)).run(validate) for asked in (True, False)
    )
    assert (validate(asked) != validate(single)) == multiplies


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    stage = Stage(60, 32, pictures=6, images=[3], learning_rate=1e-2)
    task = TaskStream((stage,), 0, SCENES)[0]

    class Same(TaskStream):
        def __getitem__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
            return task

    stream = Same((stage,), 0, SCENES)
    options = MetaTrainOptions(checkpoint_every=15, workers=0, bfloat16=True, average=0.9)
    MetaTrainer(trainable(), stream, options, tmp_path).run(lambda network: {"iou": episode_iou(network, stream)})
    entries = log(tmp_path)
    assert entries[-1]["loss"] < 0.8 * entries[0]["loss"]


def test_average_is_kept_and_not_the_last_weights(tmp_path: Path) -> None:
    trained = trainer(tmp_path)
    average = trained.run(validate)
    assert isinstance(average, DenseAttentionSegmenter)
    assert any(
        not torch.equal(mean, last)
        for mean, last in zip(average.parameters(), trained.network.parameters(), strict=True)
    )


def test_loss_that_is_not_a_number_is_an_error(tmp_path: Path) -> None:
    broken = trainer(tmp_path)
    nn.init.constant_(broken.network.coarse.bias, float("nan"))
    with pytest.raises(AdaptationError, match="the loss of step 0 is not a number; lower the learning rate"):
        broken.run(validate)


def test_schedule_warms_up_and_falls_to_nothing() -> None:
    assert schedule(0, 1000) == pytest.approx(0.01)
    assert schedule(99, 1000) == schedule(100, 1000) == 1.0
    assert schedule(550, 1000) == pytest.approx(0.5)
    assert schedule(1000, 1000) == pytest.approx(0.0)
    assert (schedule(0, 10), schedule(1, 10), schedule(2, 10)) == (0.5, 1.0, 1.0)  # a fifth of a short round at most
    assert schedule(6, 10) == pytest.approx(0.5)


def test_only_kernels_decay_and_the_encoder_has_its_share_of_the_rate(tmp_path: Path) -> None:
    made = trainer(tmp_path, replace(OPTIONS, encoder_share=0.2))
    names = {id(parameter): name for name, parameter in made.network.named_parameters()}
    found = {
        names[id(parameter)]: (group["weight_decay"], group["share"])
        for group in made.optimizer.param_groups
        for parameter in group["params"]
    }
    assert found.keys() == set(names.values())
    assert {name for name, (_, share) in found.items() if share == 0.2} == {
        name for name in found if name.startswith("encoder.")
    }
    assert {share for _, share in found.values()} == {0.2, 1.0}
    assert found["match8.temperature"] == found["mix2.0.bias"] == (0.0, 1.0)
    assert found["mix2.0.weight"] == (0.05, 1.0)
    made._set_learning_rate()
    rates = {group["share"]: group["lr"] for group in made.optimizer.param_groups}
    assert rates[0.2] == pytest.approx(0.2 * rates[1.0])
