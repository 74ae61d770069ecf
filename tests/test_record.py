"""What is known of an adaptation, written and read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medtap._version import __version__
from medtap.adaptation import TapOptions
from medtap.adapters import Lora
from medtap.errors import WeightsError
from medtap.networks.zoo import weights_sha256
from medtap.record import MANIFEST, AdaptationRecord
from tests.tiny import support_set, tiny_network


def record() -> AdaptationRecord:
    return AdaptationRecord.of(
        tiny_network(), support_set(3, 2), Lora(rank=4), TapOptions(), [0.5, 0.25000049], 1.23456
    )


def test_what_it_tells() -> None:
    made = record()
    assert made.base_sha256 == weights_sha256(tiny_network())
    assert (made.network, made.method, made.classes) == ("tiny", "lora", ("class-1", "class-2"))
    assert (made.shots, made.size, made.axis) == (3, 64, "axial")
    assert made.losses == (0.5, 0.25)
    assert made.cost == {"adapt_seconds": 1.235}
    assert made.medtap == __version__
    assert [source["name"] for source in made.support] == ["support-0", "support-1", "support-2"]


def test_network_loaded_from_a_folder_is_known_by_it() -> None:
    network = tiny_network()
    network.source = "some/folder"
    made = AdaptationRecord.of(network, support_set(1), Lora(), TapOptions(), [], 0.0)
    assert made.network == "some/folder"


def test_written_and_read_is_the_same(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(json.dumps(record().as_json()))
    assert AdaptationRecord.read(tmp_path) == record()


@pytest.mark.parametrize("content", ["", "[]", "null", "{}", "3", '"text"', "{", '{"classes": 3}'])
def test_damaged_manifest_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(WeightsError, match=r"no adaptation can be read here.*found a damaged or foreign one"):
        AdaptationRecord.read(tmp_path)


def test_manifest_of_bytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WeightsError, match="a damaged or foreign one"):
        AdaptationRecord.read(tmp_path)


@pytest.mark.parametrize("key", ["network", "adapter", "losses"])
def test_manifest_that_lacks_a_value_is_refused(tmp_path: Path, key: str) -> None:
    values = record().as_json()
    del values[key]
    (tmp_path / MANIFEST).write_text(json.dumps(values))
    with pytest.raises(WeightsError, match="a damaged or foreign one"):
        AdaptationRecord.read(tmp_path)


def test_manifest_with_more_is_refused(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(json.dumps({**record().as_json(), "more": 1}))
    with pytest.raises(WeightsError, match="a damaged or foreign one"):
        AdaptationRecord.read(tmp_path)


def test_missing_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"manifest.json: no adaptation can be read here.*found no file; name the"):
        AdaptationRecord.read(tmp_path)
