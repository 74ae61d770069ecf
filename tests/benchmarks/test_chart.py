"""The chart of accuracy against cost is well-formed and puts dots where the numbers are."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from medtap.benchmarks.chart import cost_chart

SVG = "{http://www.w3.org/2000/svg}"


def row(miou, seconds, parameters):
    return {"miou": {"mean": miou}, "cost": {"adapt_seconds": seconds, "parameters": parameters}}


METHODS = {
    "vanilla": row(0.5, 0.2, 0),
    "low": row(0.55, 1.0, 1_000),
    "high & <far>": row(0.65, 100.0, 100_000),
    "middle": row(0.6, 10.0, 10_000),
    "disc": row(0.3, 0.1, None),
    "nothing": row(None, 1.0, 10),
}


def drawn(methods=METHODS):
    return ElementTree.fromstring(cost_chart(methods))


def dots(panel):
    found = {dot.find(f"{SVG}title").text: dot for dot in panel.iter(f"{SVG}circle")}
    return {name: (float(dot.get("cx")), float(dot.get("cy"))) for name, dot in found.items()}


def test_methods_that_train_are_dots_in_both_panels():
    panels = list(drawn().iter(f"{SVG}g"))
    assert len(panels) == 2
    for panel in panels:
        places = dots(panel)
        assert places.keys() == {"low", "middle", "high & <far>"}
        (x1, y1), (x2, y2), (x3, y3) = (places[name] for name in ("low", "middle", "high & <far>"))
        assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)
        assert y1 - y2 == pytest.approx(y2 - y3, abs=0.2)
        assert x1 < x2 < x3
        assert y1 > y2 > y3


def test_vanilla_is_a_dashed_line_below_what_is_better():
    panel = next(drawn().iter(f"{SVG}g"))
    (line,) = (path for path in panel.iter(f"{SVG}path") if path.get("stroke-dasharray") == "4")
    height = float(line.get("d").split("L")[1].split()[1])
    assert all(y < height for _, y in dots(panel).values())


def test_key_names_every_method():
    texts = [text.text for text in drawn().iter(f"{SVG}text")]
    assert {f"{number}  {name}" for number, name in enumerate(METHODS, start=1)} <= {*texts}


def test_one_method_and_none_that_trains_are_drawn_too():
    assert len(dots(drawn({"low": METHODS["low"]}))) == 1
    assert dots(drawn({"disc": METHODS["disc"]})) == {}
