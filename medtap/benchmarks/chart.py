"""Accuracy against cost as an SVG file: mIoU over the seconds of adapting and over trained parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from medtap.benchmarks.summary import VANILLA
from medtap.benchmarks.svg import BOTTOM, LEFT, RIGHT, TOP, Axis, dot, frame, line, page, rounded_power, text

COSTS = {"adapt_seconds": "seconds to adapt", "parameters": "trained parameters"}
"""What lies along the two panels, by its key in ``results.json``, both on logarithmic scales."""

_HEIGHT, _ROW = 240, 16


def cost_chart(methods: Mapping[str, Mapping[str, Any]]) -> str:
    """Draw mIoU in per cent against cost: a dot a method that trains something, ``vanilla`` as a dashed line.

    Args:
        methods: of ``results.json``, by name. Those whose cost or mIoU is not known are left out.

    Returns:
        The content of an SVG file.
    """
    numbers = {name: number for number, name in enumerate(methods, start=1)}
    panels = [_panel(cost, methods, numbers) for cost in COSTS]
    key = [text(LEFT, _HEIGHT + _ROW * number, f"{number}  {name}", "start") for name, number in numbers.items()]
    label = f"mIoU against {' and '.join(COSTS.values())} of {', '.join(methods)}"
    return page(panels, key, _HEIGHT + _ROW * (len(methods) + 1), label)


def _panel(cost: str, methods: Mapping[str, Mapping[str, Any]], numbers: Mapping[str, int]) -> Markup:
    """One panel; the points of methods are named by their numbers."""
    trained = {name: row for name, row in methods.items() if name != VANILLA and row["cost"].get("parameters")}
    points = {name: (math.log10(row["cost"][cost]), 100 * row["miou"]["mean"]) for name, row in _scored(trained)}
    floor = [100 * row["miou"]["mean"] for name, row in _scored(methods) if name == VANILLA]
    parts = [text((LEFT + RIGHT) / 2, BOTTOM + 34, COSTS[cost]), text(LEFT, TOP - 12, "mIoU, %", "end")]
    if not points:
        return Markup("").join(parts)
    along = Axis.around((x for x, _ in points.values()), LEFT, RIGHT)
    up = Axis.around([*(y for _, y in points.values()), *floor], BOTTOM, TOP)
    marks = [(along.place(x), rounded_power(x)) for x in along.marks], [(up.place(y), f"{y:.1f}") for y in up.marks]
    parts += [*frame(*marks), *(line((LEFT, up.place(y)), (RIGHT, up.place(y)), "4", "#c50") for y in floor)]
    for name, (x, y) in points.items():
        at = along.place(x), up.place(y)
        parts += [dot(*at, name), text(at[0] + 5, at[1] - 4, str(numbers[name]), "start")]
    return Markup("").join(parts)


def _scored(methods: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(name, row) for name, row in methods.items() if row["miou"]["mean"] is not None]
