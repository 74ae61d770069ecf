"""The cost benchmark measures what it says; no test asserts a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch

from medtap.benchmarks import cost, cost_measures
from medtap.benchmarks.cost_options import BuiltNetwork, CostOptions, Setting
from medtap.errors import OptionError
from medtap.outputs import RunFolder
from medtap.support import SupportSet
from medtap.tap_options import TapOptions
from tests.tiny import random_images, support_set, tiny_network

INTERFACE = {
    "speedup_over_reference",
    "query_speedup_over_reference",
    "adapt_over_floor",
    "adapt_over_own_floor",
    "query_over_floor",
    "adapt_seconds",
    "query_seconds",
    "reference_seconds_per_query",
    "peak_rss_mb",
}
SMALL = {"networks": ["tiny"], "sizes": [64], "passes": 1, "queries": 3, "repeats": 1}


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost_measures, "load_network", lambda _: tiny_network())
    monkeypatch.setattr(cost, "in_fresh_process", lambda work, *arguments: work(*arguments))


def run(folder: Path, **options: Any) -> dict[str, Any]:
    with RunFolder(folder, inputs=[], options={}) as opened:
        return cost.run_cost({**SMALL, **options}, 0, Path("cost.yaml"), run=opened)


def test_settings_are_keyed_by_network_size_and_shots(tmp_path: Path) -> None:
    results = run(tmp_path, shots=[2, 1], more_passes=[2])
    assert list(results["settings"]) == ["tiny-64-k2", "tiny-64-k1", "tiny-64-k2-t2"]
    for row in results["settings"].values():
        assert row.keys() >= INTERFACE
        assert all(value >= 0 for value in row.values())
        assert row["query_speedup_over_reference"] > 0
    assert results["protocol"]["weights"] == {"tiny": "trained"}
    assert "| tiny-64-k2-t2 |" in (tmp_path / "table.md").read_text()
    assert ElementTree.parse(tmp_path / "chart.svg").getroot().tag.endswith("svg")


def test_ratios_are_of_the_seconds_told(tmp_path: Path) -> None:
    row = run(tmp_path, shots=2)["settings"]["tiny-64-k2"]
    ours = row["adapt_seconds"] + 3 * row["query_seconds"]
    assert row["speedup_over_reference"] == pytest.approx(3 * row["reference_seconds_per_query"] / ours)
    reference = row["reference_seconds_per_query"]
    assert row["query_speedup_over_reference"] == pytest.approx(reference / row["query_seconds"])
    assert row["adapt_over_floor"] == pytest.approx(row["adapt_seconds"] / row["floor_seconds"])
    assert row["query_over_floor"] == pytest.approx(row["query_seconds"] / row["query_floor_seconds"])


def test_reference_is_reckoned_from_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([[1.0, 2.0], [0.1, 0.2], [0.01, 0.02]])
    options, query = TapOptions(passes=8), random_images(1)
    monkeypatch.setattr(cost_measures, "seconds_of", lambda *_: next(ticks))
    found = cost_measures.reference_seconds(tiny_network(), query, support_set(3), options, 2)
    assert found == pytest.approx([1 + 8 * (3 * 0.1 + 0.01), 2 + 8 * (3 * 0.2 + 0.02)])


def test_floor_trains_the_adapted_layers_and_leaves_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    network, support = tiny_network(), support_set(2)
    assert len(cost_measures.floor_seconds(network, support.images, 4, 2)) == 2
    assert len(cost_measures.own_floor_seconds(network, support.images, TapOptions(passes=1), 1)) == 1
    monkeypatch.setattr(cost_measures, "seconds_of", lambda *_: [0.5, 0.25])
    assert cost_measures.floor_seconds(network, support.images, 4, 2) == [2.0, 1.0]
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_built_networks_have_random_weights_that_are_the_same_again() -> None:
    backbone = {"model_type": "resnet", "hidden_sizes": [64, 64], "depths": [1, 1], "embedding_size": 8}
    built = {"small": BuiltNetwork("ssp", {"backbone": backbone})}
    first, again = (cost_measures.network_of("small", built) for _ in range(2))
    assert all(torch.equal(*pair) for pair in zip(first.parameters(), again.parameters(), strict=True))
    assert not first.training
    options = CostOptions(networks=("small",), repeats=1, queries=1, built=built)
    row = cost_measures.measure(Setting("small", 64, 2, 1), options, 0)
    assert row["speedup_over_reference"] > 0


def test_one_support_set_is_measured_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[SupportSet] = []
    taken = cost_measures.take_a_peek
    monkeypatch.setattr(cost_measures, "take_a_peek", lambda *given: seen.append(given[1]) or taken(*given))
    cost_measures.measure(Setting("tiny", 64, 3, 1), CostOptions(repeats=2), 0)
    assert [support.shots for support in seen] == [3, 3, 3]
    assert all(support is seen[0] for support in seen)


def test_misspelt_option_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"'repeat' \(did you mean 'repeats'\?\)"):
        run(tmp_path, repeat=1)
