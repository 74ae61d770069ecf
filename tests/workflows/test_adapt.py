"""Adapting from folders: what is written, what is recorded, what is refused before anything is."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image

from medtap.adaptation import TapOptions
from medtap.adapted import load_adapted
from medtap.adapters import Lora
from medtap.errors import MedtapError, OptionError, OutputError, SupportError
from medtap.workflows import adapt, gather_support


def test_folder_holds_adapter_manifest_and_contact_sheet(skin_adapter):
    assert {path.name for path in skin_adapter.iterdir() if not path.name.startswith(".")} == {
        "adapter.safetensors",
        "support.safetensors",
        "manifest.json",
        "support.png",
        "run.json",
    }
    manifest = json.loads((skin_adapter / "manifest.json").read_text())
    assert (manifest["shots"], manifest["method"], manifest["size"]) == (2, "lora", 64)
    assert len(manifest["losses"]) == 2
    assert Image.open(skin_adapter / "support.png").width > 2 * 256


def test_what_is_saved_is_what_was_adapted(lesions, tiny_folder, tmp_path):
    options = TapOptions(passes=2)
    made = adapt(*lesions, tmp_path / "out", network=str(tiny_folder), options=options, shots=2)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(load_adapted(tmp_path / "out")(image), made(image))


def test_a_preset_gives_what_is_not_given(lesions, tiny_folder, tmp_path):
    how = {"network": str(tiny_folder), "shots": 2}
    plain = adapt(*lesions, tmp_path / "plain", options=TapOptions(passes=1, guard="none"), **how)
    assert (plain.record.method, plain.record.passes) == ("lora", 1)
    head = adapt(*lesions, tmp_path / "head", preset="head", options=TapOptions(passes=1, guard="none"), **how)
    assert (head.record.method, head.record.passes) == ("lora+decoder", 1)
    whole = adapt(*lesions, tmp_path / "whole", preset="head", adapter=Lora(rank=2), **how)
    assert (whole.record.method, whole.record.tap["loss"]) == ("lora", "dice_ce")


def test_the_seed_draws_the_support_set(lesions):
    def names(seed):
        drawn = gather_support(*lesions, shots=2, seed=seed, size=32)
        return {source.name for source in drawn.sources}

    assert names(0) == names(0)
    assert len({frozenset(names(seed)) for seed in range(8)}) > 1


def test_same_command_same_bytes(lesions, tiny_folder, tmp_path):
    for out in ("a", "b"):
        adapt(*lesions, tmp_path / out, network=str(tiny_folder), options=TapOptions(passes=1), shots=2)
    for name in ("adapter.safetensors", "support.safetensors", "support.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        ({"shots": 0}, SupportError, "shots"),
        ({"shots": 7}, SupportError, "6"),
        ({"network": "medtap-ato"}, OptionError, "did you mean 'medtap-atto'"),
        ({"device": "tpu"}, OptionError, "no device is called 'tpu'"),
        ({"layout": "isic2019"}, MedtapError, "isic2018"),
        ({"axis": "axail", "shots": 1}, MedtapError, "axial"),
    ],
)
def test_refusals_leave_no_folder(lesions, tiny_folder, tmp_path, wrong, kind, message):
    with pytest.raises(kind, match=message):
        adapt(*lesions, tmp_path / "out", **({"network": str(tiny_folder)} | wrong))
    assert not (tmp_path / "out").exists()


def test_a_finished_run_is_kept(lesions, skin_adapter, tiny_folder):
    before = (skin_adapter / "adapter.safetensors").read_bytes()
    again = {"network": str(tiny_folder), "options": TapOptions(passes=3, guard="none"), "shots": 2}
    with pytest.raises(OutputError, match="holds a finished run"):
        adapt(*lesions, skin_adapter, **again)
    assert (skin_adapter / "adapter.safetensors").read_bytes() == before
    adapt(*lesions, skin_adapter, overwrite=True, **again)
    assert (skin_adapter / "adapter.safetensors").read_bytes() != before


def test_an_output_among_the_inputs_is_refused(lesions, tiny_folder):
    with pytest.raises(OutputError, match="lies in an input folder"):
        adapt(*lesions, lesions[0] / "out", network=str(tiny_folder), shots=2)
