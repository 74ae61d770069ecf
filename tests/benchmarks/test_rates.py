"""A learning rate is chosen for each adapter by what it gains."""

from __future__ import annotations

from medtap.benchmarks import source
from medtap.benchmarks.rates import Rates, best_rates, rate_methods
from tests.tiny import tiny_network

RATES = Rates({"svf": (0.01, 0.1), "ia3": (0.003,)}, {"passes": 1, "guard": "none"})


def test_every_rate_of_every_adapter_is_a_method():
    methods = rate_methods(RATES)
    assert list(methods) == ["svf 0.01", "svf 0.1", "ia3 0.003"]
    shared = {"passes": 1, "guard": "none"}
    assert methods["svf 0.1"] == {"method": "svf", "tap": {**shared, "learning_rate": 0.1}}


def test_best_rate_is_of_the_highest_score_and_the_lower_of_equals():
    rates = Rates({"svf": (0.3, 0.1, 0.2), "ia3": (1.0, 2.0)})
    scores = {"svf 0.1": 0.4, "svf 0.2": 0.6, "svf 0.3": 0.6, "ia3 1": 0.2, "ia3 2": 0.3}
    summary = {name: {"miou": {"mean": score}} for name, score in scores.items()}
    assert best_rates(summary, rates) == {"svf": 0.2, "ia3": 2.0}


def test_source_episodes_tell_the_best_rates(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "load_network", lambda _: tiny_network())
    options = {"methods": {"vanilla": {"tap": {"passes": 0}}}, "rates": vars(RATES)}
    options |= {"size": 64, "shots": 2, "queries": 1, "episodes": 1}
    told = []
    results = source.run_source(options, seed=0, config=tmp_path, say=told.append)
    assert list(results["methods"]) == ["vanilla", "svf 0.01", "svf 0.1", "ia3 0.003"]
    assert results["best_rates"]["ia3"] == 0.003
    assert "best learning rate of ia3: 0.003" in told
    cost = results["methods"]["svf 0.1"]["cost"]
    assert cost["saved_bytes"] == 2 * cost["parameters"] > 0
    assert results["methods"]["vanilla"]["cost"]["parameters"] == 0
