"""The cost benchmark measures what it says; no test asserts a time."""

from __future__ import annotations

import pytest

from medtap.benchmarks import cost
from medtap.errors import OptionError
from tests.tiny import tiny_network

INTERFACE = {
    "speedup_over_reference",
    "adapt_over_floor",
    "query_over_floor",
    "adapt_seconds",
    "query_seconds",
    "peak_rss_mb",
}


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setattr(cost, "load_network", lambda _: tiny_network())


def test_settings_are_keyed_by_network_size_and_shots(tmp_path):
    options = {"networks": ["tiny"], "sizes": [64], "shots": [1, 2], "passes": 1, "queries": 2, "repeats": 1}
    results = cost.run_cost(options, seed=0, config=tmp_path)
    assert list(results["settings"]) == ["tiny-64-k1", "tiny-64-k2"]
    for row in results["settings"].values():
        assert row.keys() >= INTERFACE
        assert all(value > 0 for value in row.values())


def test_ratios_are_of_the_seconds_told(tmp_path):
    options = {"networks": ["tiny"], "sizes": [64], "shots": 2, "passes": 1, "queries": 3, "repeats": 1}
    row = cost.run_cost(options, seed=0, config=tmp_path)["settings"]["tiny-64-k2"]
    ours = row["adapt_seconds"] + 3 * row["query_seconds"]
    assert row["speedup_over_reference"] == pytest.approx(3 * row["reference_seconds_per_query"] / ours)


def test_misspelt_option_names_the_nearest(tmp_path):
    with pytest.raises(OptionError, match=r"'repeat' \(did you mean 'repeats'\?\)"):
        cost.run_cost({"repeat": 1}, seed=0, config=tmp_path / "cost.yaml")


def test_timed_gives_the_median():
    done = []
    seconds = cost.timed(lambda: done.append(1), repeats=3)
    assert len(done) == 4
    assert seconds >= 0
