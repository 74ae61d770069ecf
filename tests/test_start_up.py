"""What the first line of a user's program costs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import medtap
from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapters import build_adapter
from medtap.defaults import NETWORK
from medtap.networks import load_network
from medtap.support import SupportSet

HEAVY = {"matplotlib", "monai", "nibabel", "peft", "scipy", "skimage", "torch", "transformers"}


@pytest.mark.parametrize("module", ["medtap", "medtap.cli"])
def test_import_leaves_heavy_packages_alone(module: str) -> None:
    program = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(json.loads(printed.stdout))
    assert module in loaded
    assert HEAVY.isdisjoint(loaded)


def save_adapter(folder: Path, method: str = "lora") -> None:
    support = SupportSet.from_tensors(torch.rand(1, 3, 64, 64), torch.ones(1, 64, 64).long(), ("all",))
    options = TapOptions(passes=1, views=0, guard="none")
    take_a_peek(load_network(NETWORK), support, build_adapter(method), options).save(folder)


@pytest.mark.parametrize("method", ["lora", "lora+decoder"])
def test_an_adapter_segments_without_what_reads_files_and_trains(method: str, tmp_path: Path) -> None:
    save_adapter(tmp_path, method)
    program = (
        "import json, sys, torch, medtap; medtap.load_adapted(sys.argv[1])(torch.rand(1, 3, 64, 64));"
        "print(json.dumps(sorted(sys.modules)))"
    )
    words = [sys.executable, "-c", program, str(tmp_path)]
    printed = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert (HEAVY - {"torch"} | {"highdicom"}).isdisjoint(json.loads(printed.stdout))


def test_predict_imports_what_it_needs_of_monai_and_nothing_for_its_other_parts(
    lesions: tuple[Path, Path], tmp_path: Path
) -> None:
    save_adapter(tmp_path / "adapter")
    program = (
        "import atexit, json, sys; atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr));"
        "from medtap.cli import main; main()"
    )
    options = ["predict", "--adapter", tmp_path / "adapter", "--images", lesions[0], "--out", tmp_path / "found"]
    words = [sys.executable, "-W", "ignore", "-c", program, *map(str, options)]
    printed = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    loaded = set(json.loads(printed.stderr.splitlines()[-1]))
    assert "monai" in loaded
    assert {"ignite", "peft", "transformers", "medtap.pretraining.recipe"}.isdisjoint(loaded)
    assert len(list((tmp_path / "found").glob("*.png"))) == 6


@pytest.mark.parametrize("name", medtap.__all__)
def test_public_name_is_found_when_it_is_used(name: str) -> None:
    assert getattr(medtap, name) is not None
    assert name in dir(medtap)


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="module 'medtap' has no attribute 'segment_everything'"):
        medtap.segment_everything  # noqa: B018
