"""Cost against K, passes, size and the number of queries, as an SVG file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from markupsafe import Markup

from medtap.benchmarks.cost_options import Setting
from medtap.benchmarks.svg import BOTTOM, LEFT, RIGHT, TOP, Axis, dot, frame, line, page, rounded_power, text

CURVES = {
    "adapt_seconds": ("adaptation", "#07c"),
    "floor_seconds": ("its floor", "#7be"),
    "query_seconds": ("a query", "#282"),
    "reference_seconds_per_query": ("the reference, a query", "#c50"),
}
"""What is drawn, by its key in ``results.json``: its name and colour."""
FACTORS = {"shots": "K", "passes": "T", "size": "side, px"}
"""What lies along the panels, by its name in a setting; the other factors are those of the first setting."""

_QUERIES = (1, 10, 100, 1000)
_HEIGHT, _ROW = 250, 16

Row = Mapping[str, float]
Curve = Sequence[tuple[float, float]]


def cost_curves(settings: Mapping[Setting, Row]) -> str:
    """Draw seconds, on logarithmic scales, against each factor, and those of many queries, of the first setting.

    Args:
        settings: what was measured of each.

    Returns:
        The content of an SVG file.
    """
    base = next(iter(settings))
    panels = [_panel(name, _along(base, factor, settings)) for factor, name in FACTORS.items()]
    panels.append(_panel("queries a support set", _many_queries(settings[base])))
    key = [
        part
        for number, (name, colour) in enumerate(CURVES.values())
        for part in (dot(LEFT, _HEIGHT + _ROW * number, name, colour), _named(name, _HEIGHT + _ROW * number))
    ]
    label = f"Seconds against {', '.join(FACTORS.values())} and queries, {base.network}"
    return page(panels, key, _HEIGHT + _ROW * len(CURVES), label)


def _named(name: str, y: float) -> Markup:
    return text(LEFT + 10, y + 4, name, "start")


def _along(base: Setting, factor: str, settings: Mapping[Setting, Row]) -> dict[str, Curve]:
    """The curves over one factor, of the settings that differ from the base in nothing else."""
    own = sorted((getattr(at, factor), row) for at, row in settings.items() if _only(base, at, factor))
    return {key: [(value, row[key]) for value, row in own] for key in CURVES}


def _only(base: Setting, other: Setting, factor: str) -> bool:
    return replace(other, **{factor: getattr(base, factor)}) == base


def _many_queries(row: Row) -> dict[str, Curve]:
    """The total of adapting once and of the reference, reckoned for numbers of queries."""
    once, each = row["adapt_seconds"], row["query_seconds"]
    ours = [(count, once + count * each) for count in _QUERIES]
    reference = [(count, count * row["reference_seconds_per_query"]) for count in _QUERIES]
    return {"adapt_seconds": ours, "reference_seconds_per_query": reference}


def _panel(name: str, curves: Mapping[str, Curve]) -> Markup:
    xs = sorted({x for curve in curves.values() for x, _ in curve})
    along = Axis.around(map(math.log10, xs), LEFT, RIGHT)
    up = Axis.around((math.log10(y) for curve in curves.values() for _, y in curve), BOTTOM, TOP)
    marks = [(along.place(math.log10(x)), f"{x:g}") for x in xs], [(up.place(y), rounded_power(y)) for y in up.marks]
    parts = [*frame(*marks), text((LEFT + RIGHT) / 2, BOTTOM + 34, name), text(LEFT, TOP - 12, "s", "end")]
    for key, curve in curves.items():
        told, colour = CURVES[key]
        places = [(along.place(math.log10(x)), up.place(math.log10(y))) for x, y in curve]
        parts += [line(*ends, colour=colour) for ends in pairwise(places)]
        parts += [dot(*place, f"{told}: {y:.3g} s", colour) for place, (_, y) in zip(places, curve, strict=True)]
    return Markup("").join(parts)
