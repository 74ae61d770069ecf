"""What it takes to do it again: commands that a shell takes, and the hashes of what decided the result."""

from __future__ import annotations

import shlex
from dataclasses import asdict, replace
from itertools import pairwise

import pytest

from medtap.adaptation import TapOptions
from medtap.adapters import Lora
from medtap.finetuning import FinetuneOptions
from medtap.record import AdaptationRecord
from medtap.report.provenance import adapt_command, command_line, rerun
from tests.tiny import support_set, tiny_network


@pytest.fixture
def record():
    options = TapOptions(seed=7, augment="any", guard="none")
    made = AdaptationRecord.of(tiny_network(), support_set(2, classes=2), Lora(rank=4), options, [0.5], 1.0)
    return replace(made, adapter_sha256="ab" * 32)


def test_commands_are_quoted_and_leave_out_what_is_not_said():
    line = command_line("predict", {"images": "my images", "layout": None, "overwrite": False, "verbose": True})
    assert line == "medtap predict --images 'my images' --verbose"


def test_adapt_command_has_what_was_asked_for(record):
    asked = {"inputs": ["in", "masks"], "support": {"axis": "axial", "classes": None, "mask_threshold": 127}}
    words = shlex.split(adapt_command(record, asked, "runs/a"))
    given = dict(pairwise(words))
    assert (given["--support-images"], given["--support-masks"], given["--out"]) == ("in", "masks", "runs/a")
    assert (given["--rank"], given["--shots"], given["--seed"], given["--mask-threshold"]) == ("4", "2", "7", "127")
    assert given["--augment"] == "any"
    assert given["--guard"] == "none"
    assert not {"--classes", "--layout"} & set(words)


def test_adapt_command_of_an_adapter_without_a_run(record):
    assert "--classes class-1,class-2 --support-images FOLDER" in adapt_command(record, {}, "a")


def test_a_fine_tuned_adapter_is_not_told_to_be_adapted(record):
    tuned = replace(record, tap=asdict(FinetuneOptions(seed=3)) | {"best_epoch": 2})
    made = rerun("predict", {"adapter": "a", "images": "in"}, tuned, {})
    assert made.commands == ("medtap predict --adapter a --images in --out FOLDER",)
    assert "epochs 20" in dict(made.facts)["adaptation options"]


def test_a_csv_has_no_masks(record):
    assert "--support-masks" not in adapt_command(record, {"inputs": ["list.csv"]}, "a")


def test_hashes_and_versions(record):
    made = rerun("predict", {"adapter": "a", "images": "in"}, record, {})
    assert made.commands[1] == "medtap predict --adapter a --images in --out FOLDER"
    facts = dict(made.facts)
    assert facts["support set (SHA-256)"] == record.support_sha256
    assert facts["base weights (SHA-256)"] == record.base_sha256
    assert facts["adapter (SHA-256)"] == "ab" * 32
    assert "torch " in facts["versions"]
    assert [row[0] for row in made.support.rows] == ["support-0", "support-1"]


def test_planes_count_from_one(record):
    sources = tuple({**source, "plane": 3, "image_sha256": "cd" * 32} for source in record.support)
    support = rerun("predict", {"adapter": "a"}, replace(record, support=sources), {}).support
    assert support.head == ("support image", "plane", "SHA-256 of the file")
    assert support.rows[0] == ("support-0", "4", f"{'cd' * 8}…")
