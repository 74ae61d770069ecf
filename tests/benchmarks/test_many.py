"""What many support sets cost is measured as it is told; no test asserts a time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medtap.benchmarks import many
from medtap.errors import OptionError
from tests.tiny import tiny_network

TINY = {
    "network": "tiny",
    "size": 64,
    "shots": 2,
    "passes": 1,
    "sets": 2,
    "residents": 3,
    "batch_size": 2,
    "repeats": 1,
}


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setattr(many, "load_network", lambda _: tiny_network())


def test_both_are_measured(tmp_path):
    said = []
    results = many.run_many(TINY, seed=0, config=tmp_path, say=said.append)
    row = results["settings"]["tiny"]
    assert row["together_speedup"] == pytest.approx(row["alone_seconds"] / row["together_seconds"])
    assert all(value > 0 for value in row.values())
    assert results["protocol"]["residents"] == 3
    assert said == ["adapting to 2 support sets, one after another and together", "serving 3 adapters"]


def test_every_resident_has_memory_of_its_own(monkeypatch):
    monkeypatch.setattr(many, "timed", lambda *_: 1.0)
    options = many.ManyOptions(**TINY)
    support = many.generated_set(options, seed=0)
    one, three = (
        many.serving(tiny_network(), [support], replace(options, residents=count))["residents_mb"] for count in (1, 3)
    )
    assert three == pytest.approx(3 * one)


def test_numbers_below_one_and_unknown_options_are_refused(tmp_path):
    with pytest.raises(OptionError, match="numbers of at least 1"):
        many.run_many({**TINY, "sets": 0}, seed=0, config=tmp_path)
    with pytest.raises(OptionError, match=r"'resident' \(did you mean 'residents'\?\)"):
        many.run_many({"resident": 1}, seed=0, config=tmp_path / "many.yaml")
