"""One entry runs every benchmark; configurations that ship are of a known kind with known options."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from medtap.adapters import ADAPTERS
from medtap.benchmarks import cost, cost_measures, run_benchmark, source
from medtap.benchmarks.adapter_cost import AdapterCostOptions
from medtap.benchmarks.cost_options import CostOptions
from medtap.benchmarks.episode_options import EpisodeOptions
from medtap.benchmarks.heads import HeadsOptions
from medtap.benchmarks.many import ManyOptions
from medtap.benchmarks.methods import Defaults, build_method
from medtap.benchmarks.rates import Rates, rate_methods
from medtap.benchmarks.run import KINDS
from medtap.benchmarks.speed import SpeedOptions
from medtap.benchmarks.start_up import StartUpOptions
from medtap.benchmarks.trick_options import TricksOptions
from medtap.errors import OptionError, OutputError
from medtap.options import fill
from tests.tiny import tiny_network

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "benchmark").glob("*.yaml"))
OPTIONS = {
    "cost": CostOptions,
    "tricks": TricksOptions,
    "start_up": StartUpOptions,
    "many": ManyOptions,
    "speed": SpeedOptions,
    "adapter_cost": AdapterCostOptions,
    "heads": HeadsOptions,
    "source": source.SourceOptions,
    "episodes": EpisodeOptions,
}
READ = {"cost": CostOptions.read, "tricks": TricksOptions.read}


def _write(path, text):
    path.write_text(text)
    return path


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.setattr(cost_measures, "load_network", lambda _: tiny_network())
    monkeypatch.setattr(cost, "in_fresh_process", lambda work, *arguments: work(*arguments))
    text = "kind: cost\nnetworks: [tiny]\nsizes: [64]\nshots: [1]\npasses: 1\nqueries: 1\nrepeats: 1\n"
    return _write(tmp_path / "small.yaml", text)


def test_there_are_configurations():
    assert {path.stem for path in CONFIGS} >= {"cost", "schedules"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configurations_hold_known_options(path):
    values = ConfigParser.load_config_file(path)
    kind = values.pop("kind")
    assert kind in KINDS
    options = READ[kind](values, path) if kind in READ else fill(OPTIONS[kind], values)
    defaults = Defaults(lambda _: tiny_network(), "tiny", None, 0, "cpu", path)
    tried = rate_methods(fill(Rates, values.get("rates", {})))
    for name, method in {**getattr(options, "methods", {}), **tried}.items():
        assert build_method(name, method, defaults).describe()


@pytest.mark.parametrize("name", ["adapters", "adapters_at_equal_cost", "adapter_cost", "adapter_rates"])
def test_every_adapter_is_compared(name):
    (path,) = (path for path in CONFIGS if path.stem == name)
    values = ConfigParser.load_config_file(path)
    asked = {name: method.get("method", "lora") for name, method in values["methods"].items() if name != "vanilla"}
    assert {*asked.values(), *values.get("rates", {}).get("grid", {})} == ADAPTERS.keys()


def test_every_kind_has_options_checked_here():
    assert OPTIONS.keys() == KINDS.keys()
    assert all(fields(options) for options in OPTIONS.values())


def test_results_are_written_and_shots_of_the_command_line_win(small, tmp_path):
    results = run_benchmark(small, tmp_path / "out", shots=2, data=None, episodes=None)
    assert list(results["settings"]) == ["tiny-64-k2"]
    assert list(json.loads((tmp_path / "out" / "results.json").read_text())["settings"]) == ["tiny-64-k2"]


def test_finished_results_are_not_overwritten_unasked(small, tmp_path):
    run_benchmark(small, tmp_path / "out")
    with pytest.raises(OutputError, match="overwrite"):
        run_benchmark(small, tmp_path / "out")
    run_benchmark(small, tmp_path / "out", overwrite=True)


def test_unknown_kind_and_missing_file_are_refused(tmp_path):
    with pytest.raises(OptionError, match="no benchmark is of kind 'pace'"):
        run_benchmark(_write(tmp_path / "pace.yaml", "kind: pace\n"), tmp_path / "out")
    with pytest.raises(OptionError, match="no such configuration"):
        run_benchmark(tmp_path / "none.yaml", tmp_path / "out")
