"""The chart of cost is well-formed and draws what was measured."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from medtap.benchmarks.cost_curves import CURVES, cost_curves
from medtap.benchmarks.cost_options import Setting

SVG = "{http://www.w3.org/2000/svg}"
BASE = Setting("one", 256, 5, 8)
TIMES = {"adapt_seconds": 4.0, "floor_seconds": 2.0, "query_seconds": 0.1, "reference_seconds_per_query": 20.0}


def row(factor: float) -> dict[str, float]:
    return {key: factor * value for key, value in TIMES.items()}


SETTINGS = {
    BASE: row(1.0),
    Setting("one", 256, 1, 8): row(0.2),
    Setting("one", 256, 15, 8): row(4.0),
    Setting("one", 512, 5, 8): row(4.5),
    Setting("one", 256, 5, 16): row(2.0),
    Setting("two", 256, 5, 8): row(100.0),
}


def panels(settings: dict[Setting, dict[str, float]]) -> list[dict[str, list[tuple[float, float]]]]:
    """Places of the dots of every curve, by panel."""
    found = []
    for panel in ElementTree.fromstring(cost_curves(settings)).iter(f"{SVG}g"):
        curves: dict[str, list[tuple[float, float]]] = {}
        for dot in panel.iter(f"{SVG}circle"):
            name = str(dot.findtext(f"{SVG}title")).partition(":")[0]
            curves.setdefault(name, []).append((float(dot.get("cx", "")), float(dot.get("cy", ""))))
        found.append(curves)
    return found


def test_every_factor_has_its_panel_of_settings_that_differ_in_nothing_else() -> None:
    shots, passes, size, queries = panels(SETTINGS)
    names = {name for name, _ in CURVES.values()}
    assert shots.keys() == passes.keys() == size.keys() == names
    assert [len(panel["adaptation"]) for panel in (shots, passes, size, queries)] == [3, 2, 2, 4]
    assert queries.keys() == {"adaptation", "the reference, a query"}


def test_more_costs_lie_higher_and_scales_are_logarithmic() -> None:
    shots, *_, queries = panels(SETTINGS)
    (_, low), (_, middle), (_, high) = shots["adaptation"]
    assert low > middle > high
    first, second, third, last = (y for _, y in queries["the reference, a query"])
    assert first - second == pytest.approx(second - third, abs=0.2)
    assert third - last == pytest.approx(first - second, abs=0.2)


def test_one_setting_is_drawn_too() -> None:
    assert [len(panel["adaptation"]) for panel in panels({BASE: row(1.0)})] == [1, 1, 1, 4]
