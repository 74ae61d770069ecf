"""What `medtap info` tells of."""

from __future__ import annotations

import json

import pytest

from medtap.adapters import ADAPTERS
from medtap.errors import OptionError, WeightsError
from medtap.networks import BUILDERS
from medtap.networks.sam_sizes import SAM_SIZES
from medtap.networks.zoo import EMBEDDED, WEIGHTS_FILE
from medtap.workflows import info
from medtap.workflows.convert import file_sha256
from medtap.workflows.info import describe


@pytest.fixture(scope="module")
def networks():
    """What is told of every network, by its name."""
    return {row["name"]: row for row in describe("networks")}


def test_networks(networks):
    for name in ("medtap-atto", "medtap-tiny"):
        row = networks[name]
        assert (row["input_size"], row["weights"]) == (256, "embedded")
        assert row["weights_sha256"] == file_sha256(EMBEDDED / name / WEIGHTS_FILE)
        assert 3e6 < row["encoder_parameters"] < row["parameters"] < 5e6
    assert networks.keys() == BUILDERS.keys()
    assert all(row["description"] and "lora" in row["adapters"] for row in networks.values())


def test_networks_tell_encoders_licences_and_where_weights_come_from(networks):
    row = networks["dcama-swin-b"]
    assert (row["encoder"], row["input_size"], row["weights_licence"]) == ("Swin-B", 384, "not stated")
    assert row["parameters"] - row["encoder_parameters"] == pytest.approx(5.07e6, rel=1e-3)
    assert "https://github.com/pawn-sxy/DCAMA" in row["weights"]
    assert row["weights_sha256"] == "not verified"
    assert SAM_SIZES["sam-vit-b"].revision in networks["sam-vit-b"]["weights"]
    assert row["adapters"].endswith("full")
    assert "decoder" not in networks["ssp-resnet50"]["adapters"]


def test_what_fits_is_found_out_once_for_the_same_layers(monkeypatch):
    asked = []
    monkeypatch.setattr(info, "_attaches", lambda adapter, part: asked.append((adapter.name, part)) or True)
    rows = {row["name"]: row for row in describe("networks")}
    assert {row["adapters"] for row in rows.values()} == {", ".join(ADAPTERS)}
    assert sum(name == "lora" for name, _ in asked) < len(rows) / 2


def test_methods_and_layouts():
    assert {"name": "lora", "rank": 16}.items() <= describe("methods")[0].items()
    assert {"folder", "isic2017", "isic2018", "chest_xray", "decathlon"} <= {row["name"] for row in describe("layouts")}


@pytest.mark.parametrize("what", ["methods", "layouts"])
def test_everything_has_a_description(what):
    assert all(row["description"] for row in describe(what))


def test_an_adapter(skin_adapter):
    (row,) = describe(str(skin_adapter))
    manifest = json.loads((skin_adapter / "manifest.json").read_text())
    assert row["support_sha256"] == manifest["support_sha256"]
    assert (row["shots"], row["adapt_seconds"]) == (2, manifest["cost"]["adapt_seconds"])


def test_refusals(tmp_path):
    with pytest.raises(OptionError, match="nothing is known of 'network'; expected networks, methods, layouts, or an"):
        describe("network")
    with pytest.raises(WeightsError, match="no adaptation can be read here"):
        describe(str(tmp_path))
