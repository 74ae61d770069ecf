"""Which settings the benchmark of cost measures."""

from __future__ import annotations

from pathlib import Path

import pytest

from medtap.benchmarks.cost_options import BuiltNetwork, CostOptions, Setting
from medtap.errors import OptionError

LISTS = {"networks": ["one", "two"], "sizes": [64, 96], "shots": [5, 1, 15]}


def read(**options: object) -> CostOptions:
    return CostOptions.read(options, Path("cost.yaml"))


def test_crossed_settings_are_all_of_them() -> None:
    settings = read(**LISTS).settings
    assert len(settings) == 12
    assert settings["two-96-k15"] == Setting("two", 96, 15, 8)


def test_one_at_a_time_keeps_the_others_at_their_first() -> None:
    settings = read(**LISTS, design="one_at_a_time", more_passes=[1, 16]).settings
    names = ["one-64-k5", "one-64-k1", "one-64-k15", "one-96-k5", "two-64-k5", "one-64-k5-t1", "one-64-k5-t16"]
    assert list(settings) == names
    assert settings["one-64-k5-t16"] == Setting("one", 64, 5, 16)


def test_a_single_value_of_the_command_line_replaces_a_list() -> None:
    assert list(read(sizes=[64], shots=2).settings) == ["medtap-tiny-64-k2"]
    assert list(read(networks=["one"], network="runs/own", shots=2).settings) == ["own-256-k2"]


def test_built_networks_are_read_and_checked() -> None:
    options = read(networks=["r"], built={"r": {"network": "ssp", "build": {"stride": 8}}})
    assert options.built == {"r": BuiltNetwork("ssp", {"stride": 8})}
    with pytest.raises(OptionError, match="unknown option 'weights'"):
        read(built={"r": {"network": "ssp", "weights": "random"}})


def test_values_that_cannot_be_are_refused_all_at_once() -> None:
    with pytest.raises(OptionError) as refusal:
        read(networks=[], sizes=[8], shots=[0], more_passes=[0], design="starlike", repeats=0)
    for mistake in (
        "at least one network, size and K",
        "sizes of at least 32",
        "shots of at least 1",
        "passes of at least 1",
        "a design of crossed or one_at_a_time, not 'starlike'",
        "queries and repeats of at least 1",
    ):
        assert mistake in str(refusal.value)
