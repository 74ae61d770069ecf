"""Meta-training on two processes, as ``torchrun`` starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from medtap.networks import BUILDERS, load_network
from medtap.pretraining import recipe
from medtap.pretraining.episodes import Stage, TaskStream
from medtap.pretraining.meta_train import MetaTrainer, MetaTrainOptions
from medtap.processes import leave_processes, place
from tests.tiny import tiny_network

ROOT = Path(__file__).parents[2]
STAGE = Stage(3, 32, pictures=12, images=[2, 3], learning_rate=1e-2)
ADAPTED = Stage(2, 32, pictures=4, images=[2], passes=1)
OPTIONS = MetaTrainOptions(checkpoint_every=2, workers=0, bfloat16=False, train="head")


class WatchedTrainer(MetaTrainer):
    """Leaves behind what each process has learnt."""

    def run(self, validate):
        average = super().run(validate)
        learnt = {"network": self.network.state_dict(), "rates": self.peek.logarithms.detach()}
        torch.save(learnt, self.folder / f"rank{place()[0]}.pt")
        return average


class JoinedStream(TaskStream):
    """The tasks of two processes in one; validation's tasks as they are."""

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        if self.stage(step) != STAGE:
            return super().__getitem__(step)
        shares = [TaskStream(self.stages, self.seed, self.families, (rank, 2))[step] for rank in range(2)]
        images, masks = (torch.cat(parts) for parts in zip(*shares, strict=True))
        return images, masks


def train(folder: Path, *stages: Stage) -> None:
    """Pretrain a tiny network; the zoo must know it."""
    recipe.pretrain(recipe.Recipe("tiny", stages, training=OPTIONS, validation=1), folder, "tiny.yaml")


def train_by_process(folder: str) -> None:
    """What each process of the test runs."""
    BUILDERS["tiny"] = tiny_network
    recipe.MetaTrainer = WatchedTrainer
    train(Path(folder) / "plain", STAGE)
    train(Path(folder) / "adapted", ADAPTED)
    leave_processes()


def weights(path: Path) -> Tensor:
    return torch.cat([value.flatten() for value in torch.load(path, weights_only=True)["network"].values()])


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_from_the_tasks_of_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "train.py"
    program.write_text(
        f"from tests.pretraining.test_processes import train_by_process as run\nrun({str(tmp_path)!r})\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(program)]
    told = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=told, cwd=ROOT, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    monkeypatch.setitem(BUILDERS, "tiny", tiny_network)
    monkeypatch.setattr(recipe, "TaskStream", JoinedStream)
    monkeypatch.setattr(recipe, "MetaTrainer", WatchedTrainer)
    train(tmp_path / "one", STAGE)
    one, first, second = (weights(tmp_path / name) for name in ("one/rank0.pt", "plain/rank0.pt", "plain/rank1.pt"))
    assert torch.equal(first, second)
    moved = (one - weights_at_start()).abs()
    assert (first - one).abs().sum() < 0.01 * moved.sum()  # Adam makes much of gradients that are next to nothing
    assert losses(tmp_path / "plain") == pytest.approx(losses(tmp_path / "one"), abs=2e-4)
    assert load_network(tmp_path / "plain").name == "tiny"
    adapted = [torch.load(tmp_path / "adapted" / f"rank{rank}.pt", weights_only=True) for rank in range(2)]
    assert torch.equal(adapted[0]["rates"], adapted[1]["rates"])
    assert (adapted[0]["rates"] != 0).any()


def weights_at_start() -> Tensor:
    return torch.cat([value.flatten() for value in tiny_network().state_dict().values()])


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]
