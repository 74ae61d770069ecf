"""Pieces of charts as SVG: a page of panels side by side, axes, text, lines and dots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

PANEL = 360
"""Width of a panel in pixels."""
LEFT, RIGHT, TOP, BOTTOM = 48, 344, 24, 196
"""A panel's plotting area in pixels."""

_PAGE = Markup(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11" '
    'role="img" aria-label="{label}"><rect width="100%" height="100%" fill="#fff"/>{body}</svg>\n'
)
_GROUP = Markup('<g transform="translate({x:g},0)">{body}</g>')
_TEXT = Markup('<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{text}</text>')
_LINE = Markup('<path d="M{x1:g} {y1:g}L{x2:g} {y2:g}" stroke="{colour}" stroke-dasharray="{dashes}"/>')
_DOT = Markup('<circle cx="{x:g}" cy="{y:g}" r="3" fill="{colour}"><title>{text}</title></circle>')


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

    @property
    def marks(self) -> list[float]:
        """The values at both ends and in the middle."""
        return [self.low + share * (self.high - self.low) for share in (0.0, 0.5, 1.0)]


def page(panels: Sequence[Markup], below: Iterable[Markup], height: float, label: str) -> str:
    """The content of an SVG file: panels side by side, and what stands below them."""
    body = Markup("").join([*(_GROUP.format(x=PANEL * at, body=panel) for at, panel in enumerate(panels)), *below])
    return str(_PAGE.format(width=PANEL * len(panels), height=height, label=label, body=body))


def frame(along: Sequence[tuple[float, str]], up: Sequence[tuple[float, str]]) -> list[Markup]:
    """Both axes, with texts at places along them, in pixels."""
    parts = [line((LEFT, BOTTOM), (RIGHT, BOTTOM)), line((LEFT, BOTTOM), (LEFT, TOP))]
    parts += [text(x, BOTTOM + 16, told, "end" if x >= RIGHT else "middle") for x, told in along]
    return parts + [text(LEFT - 6, y + 4, told, "end") for y, told in up]


def text(x: float, y: float, told: str, anchor: str = "middle") -> Markup:
    """Text at a place."""
    return _TEXT.format(x=x, y=y, anchor=anchor, text=told)


def line(start: Sequence[float], end: Sequence[float], dashes: str = "none", colour: str = "#888") -> Markup:
    """A line between two places."""
    return _LINE.format(x1=start[0], y1=start[1], x2=end[0], y2=end[1], colour=colour, dashes=dashes)


def dot(x: float, y: float, told: str, colour: str = "#07c") -> Markup:
    """A dot with a text that shows when it is pointed at."""
    return _DOT.format(x=x, y=y, text=told, colour=colour)


def rounded_power(exponent: float) -> str:
    """Ten to a power, two digits of it."""
    return f"{10**exponent:.2g}" if exponent < 2 else f"{10**exponent:,.0f}"
