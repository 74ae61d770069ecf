"""What adaptation and queries cost, beside the reference algorithm and the floor, on the machine at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from medtap.benchmarks.cost_curves import cost_curves
from medtap.benchmarks.cost_measures import measure
from medtap.benchmarks.cost_options import CostOptions
from medtap.benchmarks.fresh_process import in_fresh_process
from medtap.benchmarks.markdown import markdown_table
from medtap.outputs import RunFolder, atomic_write

TABLE, CURVES = "table.md", "chart.svg"
_COLUMNS = {
    "adapting, s": "adapt_seconds",
    "/ floor": "adapt_over_floor",
    "/ own floor": "adapt_over_own_floor",
    "query, s": "query_seconds",
    "/ encoder": "query_over_floor",
    "reference, s": "reference_seconds_per_query",
    "speed-up": "speedup_over_reference",
    "of a query": "query_speedup_over_reference",
    "MB": "peak_rss_mb",
}
"""Columns of the table, by their key in ``results.json``; seconds have their interquartile range in brackets."""


def run_cost(
    options: Mapping[str, Any],
    seed: int,
    config: Path,
    *,
    run: RunFolder,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure every setting, each in a process of its own; ``settings`` by name, times in seconds.

    Writes ``table.md`` and ``chart.svg``.

    Args:
        options: of `CostOptions`.
        seed: of pictures and adapters.
        config: the file that the options come from.
        run: the open folder.
        say: is told of each setting before it is measured.

    Raises:
        OptionError: an option is unknown, or a value is refused.
    """
    cost = CostOptions.read(options, config)
    rows = {}
    for name, setting in cost.settings.items():
        say(f"measuring {name}")
        rows[name] = in_fresh_process(measure, setting, cost, seed)
    measured = dict(zip(cost.settings.values(), rows.values(), strict=True))
    for name, content in ((TABLE, cost_table(rows)), (CURVES, cost_curves(measured))):
        with atomic_write(run.file(name)) as partial:
            partial.write_text(content, encoding="utf-8")
    return {"protocol": _protocol(cost), "settings": rows}


def _protocol(cost: CostOptions) -> dict[str, Any]:
    told = {"passes": cost.passes, "queries": cost.queries, "repeats": cost.repeats, "guard": "none"}
    weights = {name: "random" if name in cost.built else "trained" for name in cost.networks}
    reckoned = "start + T * (K * step + query), each measured"
    return {**told, "weights": weights, "reference": reckoned, "threads": torch.get_num_threads()}


def cost_table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """The settings as a table of Markdown."""
    lines = [(name, *(_cell(row, key) for key in _COLUMNS.values())) for name, row in rows.items()]
    return markdown_table(("", *_COLUMNS), lines) + "\n"


def _cell(row: Mapping[str, float], key: str) -> str:
    if f"{key}_spread" in row:
        return f"{row[key]:.3g} ({row[f'{key}_spread']:.1g})"
    return f"{row[key]:.3g}" if row[key] < 1000 else f"{row[key]:.0f}"
