"""What the first line of a user's program costs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import medtap

HEAVY = {"matplotlib", "monai", "nibabel", "peft", "scipy", "skimage", "torch", "transformers"}


@pytest.mark.parametrize("module", ["medtap", "medtap.cli"])
def test_import_leaves_heavy_packages_alone(module: str) -> None:
    program = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(json.loads(printed.stdout))
    assert module in loaded
    assert HEAVY.isdisjoint(loaded)


def test_an_adapter_is_loaded_without_what_reads_files_and_trains() -> None:
    program = "import json, sys, medtap; medtap.load_adapted; print(json.dumps(sorted(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert {"highdicom", "matplotlib", "monai", "nibabel", "skimage"}.isdisjoint(json.loads(printed.stdout))


@pytest.mark.parametrize("name", medtap.__all__)
def test_public_name_is_found_when_it_is_used(name: str) -> None:
    assert getattr(medtap, name) is not None
    assert name in dir(medtap)


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="module 'medtap' has no attribute 'segment_everything'"):
        medtap.segment_everything  # noqa: B018
