"""A published checkpoint becomes a folder that medtap loads."""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from pathlib import Path

import pytest
import torch

from medtap import cli
from medtap.errors import OptionError, OutputError, WeightsError
from medtap.networks import BUILDERS, load_network
from medtap.workflows.convert import convert
from tests.networks.official import random_state
from tests.networks.tiny_blocks import blank_dcama, official_shapes, tiny_dcama
from tests.tiny import random_images, random_masks


@pytest.fixture(params=["swin-b", "resnet50"])
def backbone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A backbone on which the zoo builds DCAMA tiny."""
    monkeypatch.setitem(BUILDERS, f"dcama-{request.param}", functools.partial(blank_dcama, request.param))
    return request.param


@pytest.fixture
def checkpoint(backbone: str, tmp_path: Path) -> Path:
    """An official file of that DCAMA."""
    path = tmp_path / "best_model.pt"
    official = random_state(official_shapes(backbone))
    torch.save({f"module.{name}": tensor for name, tensor in official.items()}, path)
    return path


def test_converted_and_loaded_segments_the_same(backbone: str, checkpoint: Path, tmp_path: Path) -> None:
    convert("dcama", backbone, checkpoint, tmp_path / "dcama")
    network, (expected, _) = load_network(tmp_path / "dcama"), tiny_dcama(backbone)
    assert network.name == f"dcama-{backbone}"
    given = random_images(1), random_images(2).unsqueeze(0), random_masks(2).float().unsqueeze(0)
    assert torch.equal(network(*given), expected(*given))


def test_card_tells_where_the_weights_come_from(backbone: str, checkpoint: Path, tmp_path: Path) -> None:
    convert("dcama", backbone, checkpoint, tmp_path / "dcama")
    card = json.loads((tmp_path / "dcama" / "network.json").read_text())
    assert (card["network"], card["backbone"]) == (f"dcama-{backbone}", backbone)
    sha256 = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert card["checkpoint"] == {"file": "best_model.pt", "sha256": sha256}
    assert card["origin"].keys() == {"encoder", "code", "weights", "weights_licence", "weights_sha256"}


def test_a_folder_in_use_is_refused(backbone: str, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "dcama").mkdir()
    (tmp_path / "dcama" / "notes.txt").touch()
    with pytest.raises(OutputError, match="expected a new or empty folder"):
        convert("dcama", backbone, checkpoint, tmp_path / "dcama")
    convert("dcama", backbone, checkpoint, tmp_path / "new")
    with pytest.raises(OutputError):
        convert("dcama", backbone, checkpoint, tmp_path / "new")
    convert("dcama", backbone, checkpoint, tmp_path / "new", overwrite=True)


def test_nothing_is_written_where_the_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no layout of 'unet' checkpoints is known"):
        convert("unet", "resnet50", tmp_path / "none.pt", tmp_path / "out")
    with pytest.raises(WeightsError, match="the checkpoint is missing"):
        convert("dcama", "resnet50", tmp_path / "none.pt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_command(backbone: str, checkpoint: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    words = ["convert", "--network", "dcama", "--backbone", backbone, "--checkpoint", checkpoint]
    for out, code in (("out", 0), ("out", 2)):
        monkeypatch.setattr(sys, "argv", ["medtap", *map(str, words), "--out", str(tmp_path / out)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert left.value.code == code
    printed = capsys.readouterr()
    assert printed.out.startswith(f"dcama-{backbone} in {tmp_path}")
    assert printed.err.startswith("error: ")
    assert load_network(tmp_path / "out").name == f"dcama-{backbone}"
