"""What adapters cost beside one another."""

from __future__ import annotations

import pytest

from medtap.benchmarks import adapter_cost
from medtap.errors import OptionError
from tests.tiny import tiny_network

METHODS = {"lora": {"adapter": {"rank": 2}}, "svf": {"method": "svf"}}


def run(tmp_path, monkeypatch, methods, say=lambda _: None):
    monkeypatch.setattr(adapter_cost, "load_network", lambda _: tiny_network())
    options = {"methods": methods, "size": 64, "shots": 2, "passes": 2, "repeats": 1}
    return adapter_cost.run_adapter_cost(options, seed=0, config=tmp_path, say=say)


def test_every_adapter_is_measured_beside_the_first(tmp_path, monkeypatch):
    told = []
    settings = run(tmp_path, monkeypatch, METHODS, told.append)["settings"]
    assert settings.keys() == METHODS.keys()
    assert settings["lora"]["pass_over_first"] == 1.0
    assert settings["lora"]["equal_passes"] == 2
    assert settings["svf"]["parameters"] * 2 == settings["svf"]["saved_bytes"]
    assert all(row["attach_seconds"] > 0 for row in settings.values())
    assert [text.split(":")[0] for text in told] == ["round 0 of 1", "round 1 of 1", *METHODS]


def test_methods_take_turns_and_the_first_round_is_not_counted(monkeypatch):
    turns, ticks = [], iter([9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 0.1, 1.0, 5.0, 0.2, 2.0, 8.0])
    monkeypatch.setattr(adapter_cost, "timed", lambda work, *_, **__: work() or next(ticks))
    works = {name: [lambda name=name: turns.append(name)] * 3 for name in ("a", "b")}
    seconds = adapter_cost.in_turns(works, 1, lambda _: None)
    assert seconds["a"] == {"attach_seconds": 0.1, "start_seconds": 1.0, "pass_seconds": 2.0}
    assert seconds["b"] == {"attach_seconds": 0.2, "start_seconds": 2.0, "pass_seconds": 3.0}
    assert turns == ["a"] * 3 + ["b"] * 3 + ["a"] * 3 + ["b"] * 3


def test_passes_of_equal_cost_by_hand():
    first, slow = ({"start_seconds": start, "pass_seconds": one} for start, one in ((0.5, 1.0), (1.5, 2.0)))
    assert adapter_cost.relative(slow, first, passes=8) == {"pass_over_first": 2.0, "equal_passes": 4}
    assert adapter_cost.relative({"start_seconds": 9.0, "pass_seconds": 1.0}, first, passes=8)["equal_passes"] == 1


def test_methods_that_do_not_adapt_are_refused(tmp_path, monkeypatch):
    with pytest.raises(OptionError, match=r"measured of what adapts.*otsu"):
        run(tmp_path, monkeypatch, {"otsu": {}})
    with pytest.raises(OptionError, match="a benchmark without methods"):
        adapter_cost.AdapterCostOptions()
