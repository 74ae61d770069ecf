"""Meta-training: the loss, the schedule, and runs that are killed and resumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from medtap.errors import AdaptationError
from medtap.networks.dense_attention import DenseAttentionSegmenter
from medtap.networks.shots import leave_one_out
from medtap.pretraining.episodes import Stage, TaskStream
from medtap.pretraining.meta_train import MetaTrainer, MetaTrainOptions, episode_iou, episode_loss, schedule
from tests.tiny import random_images, random_masks, tiny_network

STREAM = TaskStream(
    (Stage(steps=4, size=32, tasks=2, images=3), Stage(steps=3, size=40, tasks=1, images=3)), 0, None, 0
)
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
@pytest.mark.parametrize("step", [2, 5, 6])
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
    finished = again.run(validate)
    assert len(log(tmp_path)) == 4
    assert all(torch.equal(value, finished.state_dict()[name]) for name, value in first.state_dict().items())


def test_half_written_checkpoint_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt.partial").write_bytes(b"half")
    assert trainer(tmp_path).step == 0


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    task = TaskStream((Stage(steps=1, size=32, tasks=2, images=3),), 0, None, 0)[0]

    class Same(TaskStream):
        def __getitem__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
            return task

    stream = Same((Stage(steps=60, size=32, tasks=2, images=3),), 0, None, 0)
    options = MetaTrainOptions(learning_rate=1e-2, checkpoint_every=15, workers=0, bfloat16=True, average=0.9)
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


def test_episode_loss_is_cross_entropy_plus_dice() -> None:
    network, images, masks = tiny_network(), random_images(4).unflatten(0, (2, 2)), random_masks(4).unflatten(0, (2, 2))
    loss, logits = episode_loss(network, images, masks.float(), leave_one_out(2))
    assert logits.shape == (4, 2, 64, 64)
    probability, truth = logits.softmax(1)[:, 1], masks.flatten(0, 1)
    entropy = -torch.where(truth == 1, probability, 1 - probability).log().mean()
    overlap, total = (probability * truth).sum((1, 2)), (probability + truth).sum((1, 2))
    dice = (1 - (2 * overlap + 1e-5) / (total + 1e-5)).mean()
    assert loss.item() == pytest.approx((entropy + dice).item(), rel=1e-4)


def test_episode_loss_segments_each_picture_by_the_others_of_its_task() -> None:
    network, images, masks = tiny_network(), random_images(6).unflatten(0, (2, 3)), random_masks(6).unflatten(0, (2, 3))
    _, logits = episode_loss(network, images, masks.float(), leave_one_out(3))
    others = [0, 2]
    alone = network(images[1, 1][None], images[1, others][None], masks[1, others][None].float())
    torch.testing.assert_close(logits[4:5], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_iou_of_perfect_and_wrong_networks_leaves_the_mode_alone(training: bool) -> None:
    stream = TaskStream((Stage(steps=2, size=32, tasks=1, images=2),), 0, None, 0)

    class Known(nn.Module):
        def __init__(self, sign: float) -> None:
            super().__init__()
            self.sign = sign

        def encode(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
            masks = [stream[step][1][0] for step in range(2) if torch.equal(stream[step][0][0], images)]
            return (masks[0].unsqueeze(1),)

        def remember(self, _: tuple[torch.Tensor, ...], masks: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (masks,)

        def recall(self, query: tuple[torch.Tensor, ...], _: tuple[torch.Tensor, ...]) -> torch.Tensor:
            lead = self.sign * (query[0] - 0.5)
            return torch.cat([-lead, lead], dim=1)

    network = Known(1.0).train(training)
    assert episode_iou(network, stream) == 1.0
    assert network.training == training
    assert episode_iou(Known(-1.0), stream) == 0.0


def test_schedule_warms_up_and_falls_to_nothing() -> None:
    assert schedule(0, 1000) == pytest.approx(0.01)
    assert schedule(99, 1000) == schedule(100, 1000) == 1.0
    assert schedule(550, 1000) == pytest.approx(0.5)
    assert schedule(1000, 1000) == pytest.approx(0.0)
    assert schedule(5, 10) == pytest.approx(0.06)


def test_only_kernels_decay(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    decayed, others = made.optimizer.param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.05, 0.0)
    assert len(decayed["params"]) + len(others["params"]) == len(list(made.network.parameters()))
    ids = {id(parameter) for parameter in others["params"]}
    assert id(made.network.match8.temperature) in ids
    assert id(made.network.mix2[0].bias) in ids
    assert id(made.network.mix2[0].weight) not in ids
