"""Our figures beside published ones, as a page of Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from medtap.benchmarks.markdown import markdown_table

_FILE = Path(__file__).with_name("published.yaml")
_SHOTS = (1, 5)
_COSTS = {
    "trained parameters": ("parameters", ","),
    "saved, bytes": ("saved_bytes", ","),
    "adapting, s": ("adapt_seconds", ".3g"),
    "a query, s": ("seconds_per_query", ".3g"),
    "peak memory, MB": ("peak_rss_mb", ".0f"),
}
"""Columns of cost: the key in ``results.json`` and the form of the number."""

Published = Mapping[str, Sequence[float | None]]
"""Method to mIoU in per cent at 1 and 5 shots, None where not published."""


def published_sets() -> dict[str, Published]:
    """The published figures by the name of the data set."""
    return yaml.safe_load(_FILE.read_text(encoding="utf-8"))


def markdown_page(results: Mapping[str, Any]) -> str:
    """What a benchmark of episodes found, and what others published.

    Args:
        results: the content of ``results.json``.
    """
    protocol = results["protocol"]
    title = f"# {protocol['config']}: {protocol['shots']}-shot, {protocol['episodes']} queries, seed {protocol['seed']}"
    parts = [title, _our_table(results["methods"]), _per_class_table(results["methods"])]
    if results["published"]:
        parts += ["## Beside published figures, mIoU in per cent", _published_table(results)]
    return "\n\n".join([*parts, protocol["note"], _told(results)]).rstrip() + "\n"


def _our_table(methods: Mapping[str, Mapping[str, Any]]) -> str:
    head = ("method", "mIoU", "less vanilla", "Dice", "pooled Dice", "FB-IoU", *_COSTS)
    rows = []
    for name, row in methods.items():
        gain = row["difference_to_vanilla"]["miou"] if "difference_to_vanilla" in row else None
        scores = [_per_cent(row["miou"]), _per_cent(gain, "+")]
        scores += [_per_cent(row[key]) for key in ("dice", "pooled_dice", "fb_iou")]
        rows.append((name, *scores, *(_number(row["cost"].get(key), form) for key, form in _COSTS.values())))
    return markdown_table(head, rows)


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _per_class_table(methods: Mapping[str, Mapping[str, Any]]) -> str:
    classes = next(iter(methods.values()))["per_class"]
    head = ("method", *(f"{name}, {score}" for name in classes for score in ("IoU", "Dice")))
    rows = []
    for name, row in methods.items():
        scores = (row["per_class"][each][score] for each in classes for score in ("miou", "dice"))
        rows.append((name, *map(_per_cent, scores)))
    return markdown_table(head, rows)


def _published_table(results: Mapping[str, Any]) -> str:
    """Published methods, then ours in the column of their K."""
    shots = results["protocol"]["shots"]
    columns = sorted({*_SHOTS, shots})
    rows = []
    for name, figures in results["published"].items():
        known = {k: f"{figure:.1f}" for k, figure in zip(_SHOTS, figures, strict=True) if figure is not None}
        rows.append((name, *(known.get(k, "-") for k in columns)))
    for name, row in results["methods"].items():
        rows.append((f"**{name}** (this run)", *(_per_cent(row["miou"]) if k == shots else "" for k in columns)))
    return markdown_table(("method", *(f"{k}-shot" for k in columns)), rows)


def _told(results: Mapping[str, Any]) -> str:
    protocol = results["protocol"]
    drawn = ", ".join(f"{count} {name}" for name, count in protocol["pictures"].items())
    return (
        f"Drawn from {drawn}; scored on {protocol['scored_on']}; 95 % intervals by bootstrap over "
        f"{protocol['query_images']} query images; episodes {results['episodes_sha256'][:12]}."
    )


def _per_cent(score: Mapping[str, Any] | None, sign: str = "") -> str:
    if score is None or score["mean"] is None:
        return "-"
    mean, *interval = (f"{100 * value:{sign}.1f}" for value in (score["mean"], *(score["ci95"] or ())))
    return f"{mean} ({' to '.join(interval)})" if interval else mean
