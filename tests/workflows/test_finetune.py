"""Training on a folder: it learns, it can be killed, it comes out the same, and it leaves an adapter as any other."""

from __future__ import annotations

import csv
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from medtap.adapted import TENSORS, load_adapted
from medtap.errors import AdaptationError, InputError, OptionError, OutputError, WeightsError, medtap_cause
from medtap.workflows import predict
from medtap.workflows.finetune import FinetuneParts, finetune
from medtap.workflows.finetune.progress import Progress
from medtap.workflows.finetune.training_run import CHECKPOINT, TABLE
from tests.tiny import random_images
from tests.workflows.finetuning_data import write_sam, write_spots

FAST = {"device": "cpu", "learning_rate": 1e-2, "batch_size": 2, "method": "lora"}


@pytest.fixture(scope="module")
def sam(tmp_path_factory) -> str:
    return str(write_sam(tmp_path_factory.mktemp("base") / "sam"))


@pytest.fixture(scope="module")
def spots(tmp_path_factory) -> tuple[Path, Path]:
    return write_spots(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def trained(sam, spots, tmp_path_factory) -> Path:
    """What four epochs leave."""
    out = tmp_path_factory.mktemp("trained") / "out"
    return finetune(*spots, out, network=sam, epochs=4, classes=("spot",), **FAST)


def table(out: Path) -> list[dict[str, float]]:
    with (out / TABLE).open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def values(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / TENSORS)


def same(one: Path, other: Path) -> bool:
    first, second = values(one), values(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_it_learns_and_leaves_an_adapter(trained):
    out, rows = trained, table(trained)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert rows[-1]["loss"] < 0.9 * rows[0]["loss"]
    adapted = load_adapted(out)
    best = max(rows, key=lambda row: row["held_out_dice"])
    assert best["held_out_dice"] > rows[0]["held_out_dice"]
    record = adapted.record
    assert (record.method, record.classes, record.tap["best_epoch"]) == ("lora+decoder", ("spot",), best["epoch"])
    assert len(record.support) == 6  # two of eight are held out
    assert all(source["image_sha256"] for source in record.support)
    assert len(record.losses) == 4
    names = "\n".join(values(out))
    assert "lora_A" in names
    assert "mask_mlp" in names
    assert json.loads((out / "run.json").read_text())["state"] == "done"


def test_predict_takes_what_it_leaves_and_scores_as_the_training_did(trained, sam, spots, tmp_path):
    out = trained
    outcome = predict(out, spots[0], tmp_path / "masks", device="cpu")
    assert len(outcome.done) == 8
    assert "6 of the images are in the support set" in outcome.warnings
    parts = FinetuneParts(*spots, tmp_path / "other", network=sam, classes=("spot",), **FAST)
    parts.model.network = load_adapted(out).network
    parts.validation.run()
    expected = load_adapted(out).record.tap["held_out_dice"]
    assert parts.validation.state.metrics["val_mean_dice"] == pytest.approx(expected, abs=1e-3)


def test_base_network_and_what_is_not_trained_stay(sam, spots, tmp_path):
    parts = FinetuneParts(*spots, tmp_path / "out", network=sam, epochs=1, **FAST)
    encoder = {name: value.clone() for name, value in parts.base.state_dict().items()}
    parts.trainer.run()
    assert all(torch.equal(value, encoder[name]) for name, value in parts.base.state_dict().items())
    trained = {name for name, value in parts.model.network.named_parameters() if value.requires_grad}
    assert all(name.startswith("head.") or ".lora_" in name for name in trained)
    assert any(name.startswith("head.transformer") for name in trained)
    assert not parts.model.network.training


def test_killed_run_goes_on_to_the_same_result(sam, spots, tmp_path, monkeypatch):
    how = {"network": sam, "epochs": 2, **FAST}
    whole = finetune(*spots, tmp_path / "whole", **how)
    parts = FinetuneParts(*spots, tmp_path / "killed", **how)
    run = parts.run
    step, seen = run.after_step, []

    def die(engine):
        step(engine)
        seen.append(engine.state.epoch)
        if seen.count(2) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(run, "after_step", die)
    with pytest.raises(KeyboardInterrupt):
        parts.trainer.run()
    assert len(table(tmp_path / "killed")) == 1
    assert (tmp_path / "killed" / CHECKPOINT).is_file()
    finetune(*spots, tmp_path / "killed", **how)
    assert table(tmp_path / "killed") == table(whole)
    assert same(tmp_path / "killed", whole)


def test_same_seed_gives_the_same_and_another_another(sam, tmp_path):
    spots = write_spots(tmp_path / "few", 4)
    how = {"network": sam, "epochs": 1, **FAST}
    torch.manual_seed(5)
    one = finetune(*spots, tmp_path / "one", **how)
    torch.manual_seed(6)
    assert same(one, finetune(*spots, tmp_path / "two", **how))
    assert not same(one, finetune(*spots, tmp_path / "three", seed=1, **how))


def test_class_branch_learns_several_classes(tmp_path):
    spots = write_spots(tmp_path / "data", 5, classes=2)
    sam = str(write_sam(tmp_path / "sam", classes=2))
    out = finetune(*spots, tmp_path / "out", network=sam, epochs=2, classes=("a", "b"), **FAST)
    assert table(out)[-1]["loss"] < table(out)[0]["loss"]
    assert any("classify" in name for name in values(out))
    with torch.no_grad():
        assert load_adapted(out)(random_images(1, 40, 60)).shape == (1, 3, 40, 60)


def test_sam_without_a_branch_for_the_classes_is_refused(sam, tmp_path):
    spots = write_spots(tmp_path / "two", 4, classes=2)
    with pytest.raises(OptionError, match=r"without a branch.*expected one of 2 classes.*load_sam"):
        finetune(*spots, tmp_path / "out", network=sam, epochs=1, classes=("a", "b"), **FAST)
    assert not (tmp_path / "out").exists()


def test_networks_that_need_a_support_set_are_trained_with_one(tiny_folder, spots, tmp_path):
    how = {"network": str(tiny_folder), "shots": 2, "epochs": 2, "head": False, **FAST}
    parts = FinetuneParts(*spots, tmp_path / "out", **how)
    assert len(parts.training_loader.dataset) == 4  # of eight, two are held out and two are the support set
    parts.trainer.run()
    adapted = load_adapted(tmp_path / "out")
    assert adapted.record.method == "lora"
    assert adapted.memory[0].shape[1] == 2
    with torch.no_grad():
        torch.testing.assert_close(adapted(random_images(1)), parts.model(random_images(1)), rtol=1e-3, atol=1e-3)


def test_learning_rate_falls_to_zero_and_orchestration_has_its_own(sam, spots, tmp_path):
    how = FAST | {"method": "cobot", "recipe": "cobot_medical", "learning_rate": None}
    parts = FinetuneParts(*spots, tmp_path / "out", network=sam, epochs=2, **how)
    rates = {group["lr"]: sum(p.numel() for p in group["params"]) for group in parts.optimiser.param_groups}
    blocks, width = 4, 4  # queries and values of two layers
    assert rates[1.25e-4] == width * blocks + blocks**2 + blocks * width * width // 4
    assert set(rates) == {1.25e-6, 1.25e-4}
    parts = FinetuneParts(*spots, tmp_path / "out", network=sam, epochs=2, **FAST)
    steps = 2 * len(parts.training_loader)
    seen = []
    for _ in range(steps):
        seen.append(parts.schedule.get_last_lr()[0])
        parts.optimiser.step()
        parts.schedule.step()
    assert seen == pytest.approx([1e-2 * (1 - step / steps) for step in range(steps)])
    assert parts.schedule.get_last_lr()[0] == 0


def test_what_cannot_be_trained_on_is_refused(sam, spots, volumes, tmp_path):
    how = {"network": sam, "epochs": 1, **FAST}
    one = write_spots(tmp_path / "one", 1)
    with pytest.raises(InputError, match="too few annotated images"):
        finetune(*one, tmp_path / "out", **how)
    with pytest.raises(Exception) as raised:  # noqa: PT011
        finetune(*volumes, tmp_path / "out", mask_threshold=0, **how)
    assert "a volume cannot be trained on" in str(medtap_cause(raised.value))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        finetune(*spots, tmp_path / "mine", **how)
    with pytest.raises(OptionError, match="did you mean 'epochs'"):
        finetune(*spots, tmp_path / "out", network=sam, epoch=1)


def test_loss_that_is_no_number_ends_the_run(sam, spots, tmp_path):
    parts = FinetuneParts(*spots, tmp_path / "out", network=sam, epochs=1, **FAST)
    parts.loss.loss = lambda logits, _: logits.sum() * float("nan")
    with pytest.raises(AdaptationError, match="not a number in epoch 1"):
        parts.trainer.run()
    assert not (tmp_path / "out" / TENSORS).exists()


@pytest.mark.parametrize("content", [b"", b"half", pickle.dumps({"epoch": 1}), pickle.dumps(print)])
def test_checkpoint_that_is_none_is_refused(tmp_path, content):
    (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(WeightsError, match=r"cannot be gone on with.*--overwrite"):
        Progress.load(tmp_path / CHECKPOINT)


@pytest.mark.slow
def test_two_processes_give_what_one_gives_with_twice_the_batch(sam, spots, tmp_path):
    """Without flips and dropout, which each process draws for itself."""
    program = tmp_path / "train.py"
    how = {"network": sam, "epochs": 2, "flips": False, "adapter": {"dropout": 0.0}, "held_out": 0.25, **FAST}
    program.write_text(
        "from medtap.workflows.finetune import finetune\n"
        f"finetune({str(spots[0])!r}, {str(spots[1])!r}, {str(tmp_path / 'two')!r}, **{how | {'batch_size': 1}!r})\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    finetune(*spots, tmp_path / "one", **how)
    for row, other in zip(table(tmp_path / "one"), table(tmp_path / "two"), strict=True):
        assert other["loss"] == pytest.approx(row["loss"], rel=2e-3)
        assert other["held_out_dice"] == pytest.approx(row["held_out_dice"], abs=0.02)
    one, two = values(tmp_path / "one"), values(tmp_path / "two")
    moved = torch.cat([(two[name] - one[name]).abs().flatten() for name in one])
    assert moved.median() < 1e-5  # Adam makes much of gradients that are next to nothing
