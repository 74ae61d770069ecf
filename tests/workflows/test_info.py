"""What `medtap info` tells of."""

from __future__ import annotations

import json

import pytest

from medtap.errors import OptionError, WeightsError
from medtap.workflows.info import describe


def test_networks():
    row = next(row for row in describe("networks") if row["name"] == "medtap-atto")
    assert row["input_size"] == 256
    assert 3e6 < row["encoder_parameters"] < row["parameters"] < 5e6


def test_methods_and_layouts():
    assert {"name": "lora", "rank": 16}.items() <= describe("methods")[0].items()
    assert {"folder", "isic2017", "isic2018", "chest_xray", "decathlon"} <= {row["name"] for row in describe("layouts")}


@pytest.mark.parametrize("what", ["networks", "methods", "layouts"])
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
