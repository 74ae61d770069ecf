"""Two small charts as inline SVG; their colours come from the page's style sheet, so that they suit dark screens."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median

from markupsafe import Markup

_WIDTH, _HEIGHT = 420, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 408, 14, 134  # of the plotting area
_BINS = 20

_FRAME = Markup(
    '<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{body}'
    '<line class="axis" x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}"/></svg>'
)
_TEXT = Markup('<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{text}</text>')
_BAR = Markup(
    '<rect class="bar" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"><title>{text}</title></rect>'
)
_GRID = Markup('<line class="grid" x1="{left}" x2="{right}" y1="{y:g}" y2="{y:g}"/>')
_MARK = Markup('<line class="mark" x1="{x:g}" x2="{x:g}" y1="{top}" y2="{bottom}"/>')
_DOT = Markup('<circle class="dot" cx="{x:g}" cy="{y:g}" r="3"><title>{text}</title></circle>')
_CURVE = Markup('<polyline class="curve" points="{points}"/>')


def score_histogram(name: str, values: Iterable[float]) -> Markup:
    """How many cases have which score, in twenty steps from 0 to 1, with a dashed line at the median.

    Args:
        name: what is scored, for those who hear the chart.
        values: scores 0 to 1; nan ones are left out.
    """
    scores = [value for value in values if not math.isnan(value)]
    counts = [0] * _BINS
    for score in scores:
        counts[min(_BINS - 1, int(score * _BINS + 1e-9))] += 1
    highest = max([*counts, 1])
    parts = [_tick_left(highest, 1.0), *(_bar(index, count, highest) for index, count in enumerate(counts) if count)]
    parts += [_under(share, f"{share:g}") for share in (0, 0.25, 0.5, 0.75, 1)]
    parts.append(_under(0.5, "Dice", line=1))
    if not scores:
        return _frame(f"Distribution of {name}: nothing was scored", parts)
    middle = median(scores)
    parts += [_MARK.format(x=_x(middle), top=_TOP - 6, bottom=_BOTTOM)]
    label = f"Distribution of {name} over {len(scores)} cases: {min(scores):.2f} to {max(scores):.2f}"
    return _frame(f"{label}, median {middle:.2f}", parts)


def loss_curve(losses: Sequence[float]) -> Markup:
    """The support loss before every optimizer step.

    Args:
        losses: at least one, none negative.
    """
    top = _round_up(max(losses))
    last = max(len(losses) - 1, 1)
    points = [(_x(step / last), _y(loss / top)) for step, loss in enumerate(losses)]
    parts = [_tick_left(top, 1.0), _tick_left(top / 2, 0.5), _tick_left(0, 0.0)]
    parts.append(_CURVE.format(points=" ".join(f"{x:g},{y:g}" for x, y in points)))
    if len(points) <= 40:
        texts = (f"step {step}: {loss:.3f}" for step, loss in enumerate(losses, start=1))
        parts += [_DOT.format(x=x, y=y, text=text) for (x, y), text in zip(points, texts, strict=True)]
    parts += [_under(0, "1"), _under(1, str(len(losses))), _under(0.5, "optimizer step", line=1)]
    label = f"Support loss over {len(losses)} optimizer steps, from {losses[0]:.3f} to {losses[-1]:.3f}"
    return _frame(label, parts)


def _frame(label: str, parts: Iterable[Markup]) -> Markup:
    body = Markup("").join(parts)
    return _FRAME.format(width=_WIDTH, height=_HEIGHT, label=label, body=body, left=_LEFT, right=_RIGHT, bottom=_BOTTOM)


def _bar(index: int, count: int, highest: int) -> Markup:
    left, right, top = _x(index / _BINS), _x((index + 1) / _BINS), _y(count / highest)
    text = f"{index / _BINS:.2f} to {(index + 1) / _BINS:.2f}: {count} {'case' if count == 1 else 'cases'}"
    return _BAR.format(x=left + 1, y=top, width=right - left - 2, height=_BOTTOM - top, text=text)


def _tick_left(value: float, share: float) -> Markup:
    y = _y(share)
    grid = _GRID.format(left=_LEFT, right=_RIGHT, y=y) if share else Markup("")
    return grid + _TEXT.format(x=_LEFT - 6, y=y + 4, anchor="end", text=f"{value:g}")


def _under(share: float, text: str, line: int = 0) -> Markup:
    return _TEXT.format(x=_x(share), y=_BOTTOM + 16 + 16 * line, anchor="middle", text=text)


def _x(share: float) -> float:
    return round(_LEFT + share * (_RIGHT - _LEFT), 1)


def _y(share: float) -> float:
    return round(_BOTTOM - share * (_BOTTOM - _TOP), 1)


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 5, 6, 8 and 10 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 5, 6, 8, 10) if step * power >= value)
