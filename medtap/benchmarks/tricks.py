"""What every shortcut gains and costs: medtap as it is, and with one change at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from medtap.benchmarks.fresh_process import in_fresh_process
from medtap.benchmarks.markdown import markdown_table
from medtap.benchmarks.trick_measures import Measured, measure_trick
from medtap.benchmarks.trick_options import TricksOptions
from medtap.outputs import RunFolder, atomic_write

TABLE = "table.md"
_HEAD = ("", "adapting, s", "times", "query, s", "times", "MB", "Dice, %", "change")


def run_tricks(
    options: Mapping[str, Any],
    seed: int,
    config: Path,
    *,
    run: RunFolder,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure every trick in a process of its own; ``tricks`` by name, times in seconds. Writes ``table.md``.

    Args:
        options: of `TricksOptions`, its tricks those of `Trick`.
        seed: of pictures, episodes and adapters.
        config: the file that the options come from.
        run: the open folder.
        say: is told of each trick before it is measured.

    Raises:
        OptionError: an option is unknown, or a value is refused.
    """
    chosen = TricksOptions.read(options, config)
    measured: dict[str, Measured] = {}
    rows: dict[str, dict[str, float]] = {}
    for name, trick in chosen.tricks.items():
        say(f"measuring {name}")
        measured[name] = in_fresh_process(measure_trick, trick, chosen, seed, environment=trick.environment)
        rows[name] = compared(measured[name], measured[trick.against or next(iter(measured))])
    with atomic_write(run.file(TABLE)) as partial:
        partial.write_text(tricks_table(rows), encoding="utf-8")
    told = ("network", "size", "shots", "repeats", "episodes", "episode_size", "queries")
    protocol = {**{name: getattr(chosen, name) for name in told}, "threads": torch.get_num_threads()}
    return {"protocol": protocol, "tricks": rows}


def compared(own: Measured, other: Measured) -> dict[str, float]:
    """A row: what was measured, how many times the other's that is, and Dice, its mean change and standard error."""
    row = {"adapt_seconds": own.adapt_seconds, "query_seconds": own.query_seconds, "peak_rss_mb": own.peak_rss_mb}
    row |= {"adapt_times": own.adapt_seconds / other.adapt_seconds}
    row |= {"query_times": own.query_seconds / other.query_seconds}
    if not own.dice:
        return row
    row |= {"dice": fmean(own.dice)}
    if own is other or not other.dice:
        return row
    changes = [after - before for after, before in zip(own.dice, other.dice, strict=True)]
    error = stdev(changes) / len(changes) ** 0.5 if len(changes) > 1 else 0.0
    return {**row, "dice_change": fmean(changes), "dice_change_error": error}


def tricks_table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """The rows as a table of Markdown."""
    return markdown_table(_HEAD, [(name, *_cells(row)) for name, row in rows.items()]) + "\n"


def _cells(row: Mapping[str, float]) -> list[str]:
    cells = [f"{row['adapt_seconds']:.3g}", f"{row['adapt_times']:.2f}"]
    cells += [f"{row['query_seconds']:.3g}", f"{row['query_times']:.2f}", f"{row['peak_rss_mb']:.0f}"]
    cells.append(f"{100 * row['dice']:.1f}" if "dice" in row else "same")
    if "dice_change" not in row:
        return [*cells, ""]
    return [*cells, f"{100 * row['dice_change']:+.2f} (error {100 * row['dice_change_error']:.2f})"]
