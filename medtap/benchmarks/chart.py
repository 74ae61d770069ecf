"""Accuracy against cost as an SVG file: mIoU over the seconds of adapting and over trained parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from medtap.benchmarks.summary import VANILLA

COSTS = {"adapt_seconds": "seconds to adapt", "parameters": "trained parameters"}
"""What lies along the two panels, by its key in ``results.json``, both on logarithmic scales."""

_PANEL, _HEIGHT, _ROW = 360, 240, 16
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 344, 14, 196  # of a panel's plotting area

_PAGE = Markup(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11" '
    'role="img" aria-label="{label}"><rect width="100%" height="100%" fill="#fff"/>{body}</svg>\n'
)
_GROUP = Markup('<g transform="translate({x:g},0)">{body}</g>')
_TEXT = Markup('<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{text}</text>')
_LINE = Markup('<path d="M{x1:g} {y1:g}L{x2:g} {y2:g}" stroke="{colour}" stroke-dasharray="{dashes}"/>')
_DOT = Markup('<circle cx="{x:g}" cy="{y:g}" r="3" fill="#07c"><title>{text}</title></circle>')


@dataclass(frozen=True)
class Axis:
    """A scale from one value to another along pixels.

    Attributes:
        low: value at ``start``.
        high: value at ``end``, above ``low``.
        start: in pixels.
        end: in pixels.
    """

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def around(cls, values: Iterable[float], start: float, end: float) -> Axis:
        """One that holds all values, with a tenth of their range to spare at both ends."""
        values = list(values)
        spare = 0.1 * (max(values) - min(values)) or 0.01
        return cls(min(values) - spare, max(values) + spare, start, end)

    def place(self, value: float) -> float:
        """Where a value lies, in pixels."""
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)


def cost_chart(methods: Mapping[str, Mapping[str, Any]]) -> str:
    """Draw mIoU in per cent against cost: a dot a method that trains something, ``vanilla`` as a dashed line.

    Args:
        methods: of ``results.json``, by name. Those whose cost or mIoU is not known are left out.

    Returns:
        The content of an SVG file.
    """
    numbers = {name: number for number, name in enumerate(methods, start=1)}
    panels = [_panel(cost, methods, numbers) for cost in COSTS]
    key = [_text(_LEFT, _HEIGHT + _ROW * number, f"{number}  {name}", "start") for name, number in numbers.items()]
    body = Markup("").join([*(_GROUP.format(x=_PANEL * at, body=panel) for at, panel in enumerate(panels)), *key])
    label = f"mIoU against {' and '.join(COSTS.values())} of {', '.join(methods)}"
    height = _HEIGHT + _ROW * (len(methods) + 1)
    return str(_PAGE.format(width=_PANEL * len(COSTS), height=height, label=label, body=body))


def _panel(cost: str, methods: Mapping[str, Mapping[str, Any]], numbers: Mapping[str, int]) -> Markup:
    """One panel; the points of methods are named by their numbers."""
    trained = {name: row for name, row in methods.items() if name != VANILLA and row["cost"].get("parameters")}
    points = {name: (math.log10(row["cost"][cost]), 100 * row["miou"]["mean"]) for name, row in _scored(trained)}
    floor = [100 * row["miou"]["mean"] for name, row in _scored(methods) if name == VANILLA]
    parts = [_text((_LEFT + _RIGHT) / 2, _BOTTOM + 34, COSTS[cost]), _text(_LEFT, _TOP - 3, "mIoU, %", "end")]
    if not points:
        return Markup("").join(parts)
    along = Axis.around((x for x, _ in points.values()), _LEFT, _RIGHT)
    up = Axis.around([*(y for _, y in points.values()), *floor], _BOTTOM, _TOP)
    parts += [*_frame(along, up), *(_line((_LEFT, up.place(y)), (_RIGHT, up.place(y)), "4") for y in floor)]
    for name, (x, y) in points.items():
        at = along.place(x), up.place(y)
        parts += [_DOT.format(x=at[0], y=at[1], text=name), _text(at[0] + 5, at[1] - 4, str(numbers[name]), "start")]
    return Markup("").join(parts)


def _scored(methods: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(name, row) for name, row in methods.items() if row["miou"]["mean"] is not None]


def _frame(along: Axis, up: Axis) -> list[Markup]:
    """Both axes with the values at their ends and in the middle."""
    parts = [_line((_LEFT, _BOTTOM), (_RIGHT, _BOTTOM)), _line((_LEFT, _BOTTOM), (_LEFT, _TOP))]
    for share in (0.0, 0.5, 1.0):
        x, y = (axis.low + share * (axis.high - axis.low) for axis in (along, up))
        parts += [_text(along.place(x), _BOTTOM + 16, f"{10**x:.2g}" if x < 2 else f"{10**x:,.0f}")]
        parts += [_text(_LEFT - 6, up.place(y) + 4, f"{y:.1f}", "end")]
    return parts


def _text(x: float, y: float, text: str, anchor: str = "middle") -> Markup:
    return _TEXT.format(x=x, y=y, anchor=anchor, text=text)


def _line(start: Sequence[float], end: Sequence[float], dashes: str = "none") -> Markup:
    colour = "#888" if dashes == "none" else "#c50"
    return _LINE.format(x1=start[0], y1=start[1], x2=end[0], y2=end[1], colour=colour, dashes=dashes)
