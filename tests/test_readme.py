"""Every command and every snippet of README runs as written, on generated images."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medtap.pretraining.synthetic import generated_task

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def _commands() -> list[str]:
    lines = "\n".join(_blocks("bash")).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip() and not line.startswith("make ")]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with the images that README speaks of, beside the project's bundles."""
    home = tmp_path_factory.mktemp("readme")
    images, masks = generated_task(9, 96, torch.Generator().manual_seed(3))
    for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
        for folder, values in (("DATA/images", image.permute(1, 2, 0)), ("DATA/masks", mask), ("NEW", image[0])):
            (home / folder).mkdir(parents=True, exist_ok=True)
            pixels = (values.numpy() * 255).round().astype(np.uint8)
            Image.fromarray(pixels).save(home / folder / f"{index}.png")
    (home / "bundles").symlink_to(ROOT / "bundles")
    return home


def test_readme_shows_commands_and_snippets():
    assert len(_commands()) >= 4
    assert len(_blocks("python")) >= 2


@pytest.mark.slow
def test_commands_run_in_order(home):
    for command in _commands():
        words = shlex.split(command)
        program = Path(words[0]).name
        start = [sys.executable] if program == "python" else [sys.executable, "-m", "medtap"]
        done = subprocess.run([*start, *words[1:]], cwd=home, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert len(list((home / "runs" / "mine-masks").glob("*.png"))) == 9
    assert len(list((home / "runs" / "bundle").glob("*.png"))) == 9


@pytest.mark.slow
@pytest.mark.parametrize("snippet", _blocks("python"))
def test_snippets_run(home, snippet):
    done = subprocess.run([sys.executable, "-c", snippet], cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_linked_files_are_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
