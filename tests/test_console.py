"""What the commands print."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from medtap import console
from medtap.adaptation import TapOptions, take_a_peek
from medtap.workflows import Failure, Outcome
from tests.tiny import support_set, tiny_network


@pytest.fixture
def adapted():
    return take_a_peek(tiny_network(), support_set(2, classes=2), options=TapOptions(passes=2))


def test_names():
    assert console.names(None) is None
    assert console.names("left lung, right lung") == ("left lung", "right lung")


def test_adaptation(adapted, capsys):
    console.show_adaptation(adapted, Path("runs/a"))
    first, second = capsys.readouterr().out.splitlines()
    losses = adapted.record.losses
    assert first == f"adapted tiny to class-1, class-2 on 2 images, support loss {losses[0]:.3f} to {losses[-1]:.3f}"
    assert second.endswith("s; adapter in runs/a")


def test_one_image_without_a_step_and_with_a_warning(adapted, capsys):
    adapted.record = replace(adapted.record, shots=1, losses=(), warnings=("a support mask is all foreground: x",))
    console.show_adaptation(adapted, Path("a"))
    printed = capsys.readouterr()
    assert "on 1 image\n" in printed.out
    assert printed.err == "warning: a support mask is all foreground: x\n"


def test_outcome(capsys):
    failures = [Failure(f"c{index}", Path(f"{index}.png"), f"{index}.png: [red]empty[/red]") for index in range(12)]
    outcome = Outcome(["a", "b"], failures, [(Path("x.txt"), "no image")], ["something odd"])
    console.show_outcome(outcome, Path("out"))
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "2 cases done, 12 failed, 1 files skipped",
        "2 more failures are listed in out/failed.csv",
        "results in out",
        "report for people: out/report.html",
    ]
    told = printed.err.splitlines()
    assert told[0] == "failed: 0.png: [red]empty[/red]"  # file names are not markup
    assert (len(told), told[-1]) == (11, "warning: something odd")


def test_scores(capsys):
    score = {"mean": 0.5, "ci95": [0.4, 0.6]}
    scores = dict.fromkeys(("dice", "iou", "surface_dice", "hd95", "miou", "fb_iou"), score)
    console.show_scores({**scores, "unit": "mm", "per_class": {"left": scores, "right": scores}})
    printed = " ".join(capsys.readouterr().out.split())
    for word in ("all", "left", "right", "HD95", "0.500"):
        assert word in printed


def test_benchmarks(capsys):
    console.show_benchmark({"settings": {"tiny-64-k1": {"adapt_seconds": 1.23456}}}, Path("out"))
    printed = capsys.readouterr().out
    assert "adapt seconds" in printed
    assert "1.235" in printed
    score = {"mean": 0.5, "ci95": None}
    method = {"miou": score, "dice": score, "fb_iou": score, "cost": {"adapt_seconds": 0.25}}
    console.show_benchmark({"methods": {"lora": method}}, Path("out"))
    printed = capsys.readouterr().out
    assert "lora" in printed
    assert "results in out/results.json" in printed


def test_benchmark_of_episodes_prints_its_page(tmp_path, capsys):
    (tmp_path / "table.md").write_text("# isic\n\n| method | mIoU |\n| --- | --- |\n| vanilla | 50.0 |\n")
    console.show_benchmark({"published": {}, "methods": {}}, tmp_path)
    printed = capsys.readouterr().out
    for word in ("isic", "vanilla", "50.0", "results.json"):
        assert word in printed


def test_info(capsys):
    console.show_info([{"name": "lora", "learning_rate": 0.001}, {"name": "[bold]"}])
    printed = capsys.readouterr().out
    assert "learning rate" in printed
    assert "lora" in printed


def test_progress_hands_every_item_on():
    assert list(console.progress([{"a": 1}, {"a": 2}], 2)) == [{"a": 1}, {"a": 2}]
