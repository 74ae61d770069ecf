"""What the commands print: progress, tables and where to find things."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import track
from rich.table import Table

from medtap.adapted import AdaptedSegmenter
from medtap.report import REPORT, score_head, score_table, shown_score
from medtap.workflows.predict import Outcome, record_of
from medtap.workflows.stream import Item

_console = Console()
_errors = Console(stderr=True)
_MOST_SHOWN = 10
_SCORES = (("mIoU", "miou"), ("Dice", "dice"), ("FB-IoU", "fb_iou"))


def names(listed: str | None) -> tuple[str, ...] | None:
    """Names separated by commas, or None."""
    return None if listed is None else tuple(name.strip() for name in listed.split(","))


def say(text: str) -> None:
    """Print a line."""
    _console.print(text, highlight=False, markup=False, soft_wrap=True)


def progress(items: Iterable[Item], count: int) -> Iterable[Item]:
    """Show a bar on the terminal while items go by."""
    return track(items, "segmenting", total=count, console=_errors, transient=True)


def show_adaptation(adapted: AdaptedSegmenter, out: Path) -> None:
    """Tell what was learnt from how many images, how the loss fell, and where it lies."""
    record = record_of(adapted)
    course = f", support loss {record.losses[0]:.3f} to {record.losses[-1]:.3f}" if record.losses else ""
    images = "1 image" if record.shots == 1 else f"{record.shots} images"
    images += f" and {len(record.lacking)} that show none" if record.lacking else ""
    say(f"adapted {record.network} to {', '.join(record.classes)} on {images}{course}")
    say(f"in {record.cost['adapt_seconds']:.1f} s; adapter in {out}")
    _warn(record.warnings)


def show_outcome(outcome: Outcome, out: Path) -> None:
    """Tell how many cases went through, what failed, what was skipped, and where the files are."""
    for failure in outcome.failures[:_MOST_SHOWN]:
        _errors.print(f"failed: {failure.reason}", style="red", highlight=False, markup=False, soft_wrap=True)
    hidden = len(outcome.failures) - _MOST_SHOWN
    say(f"{len(outcome.done)} cases done, {len(outcome.failures)} failed, {len(outcome.skipped)} files skipped")
    if hidden > 0:
        say(f"{hidden} more failures are listed in {out / 'failed.csv'}")
    _warn(outcome.warnings)
    say(f"results in {out}")
    say(f"report for people: {out / REPORT}")


def show_scores(metrics: Mapping[str, Any]) -> None:
    """Print the scores of each class with their 95 % intervals."""
    table = Table(*score_head(metrics["unit"]))
    for row in score_table(metrics):
        table.add_row(*row)
    _console.print(table)


def show_benchmark(results: Mapping[str, Any], out: Path) -> None:
    """Print what was measured: the page where there is one, a column a setting of cost, a row a method's scores."""
    if (out / "table.md").is_file():
        _console.print(Markdown((out / "table.md").read_text(encoding="utf-8")))
    else:
        _console.print(_cost_table(results["settings"]) if "settings" in results else _score_rows(results["methods"]))
    say(f"results in {out / 'results.json'}")


def _cost_table(settings: Mapping[str, Mapping[str, float]]) -> Table:
    measures = list(next(iter(settings.values()), {}))
    if len(settings) > len(measures):
        table = Table("", *(measure.replace("_", " ") for measure in measures))
        for name, row in settings.items():
            table.add_row(name, *(f"{row[measure]:.4g}" for measure in measures))
        return table
    table = Table("", *settings)
    for measure in measures:
        table.add_row(measure.replace("_", " "), *(f"{row[measure]:.4g}" for row in settings.values()))
    return table


def _score_rows(methods: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table("", *(name for name, _ in _SCORES), "mIoU gained", "seconds to adapt")
    for name, row in methods.items():
        scores = [shown_score(row[key]) for _, key in _SCORES]
        gained = shown_score(row["difference_to_vanilla"]["miou"]) if "difference_to_vanilla" in row else ""
        table.add_row(name, *scores, gained, f"{row['cost']['adapt_seconds']:.3g}")
    return table


def show_info(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print what `medtap info` found, a block each."""
    for row in rows:
        table = Table.grid(padding=(0, 2))
        for key, value in row.items():
            table.add_row(key.replace("_", " "), str(value))
        _console.print(table, "", highlight=False)


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        _errors.print(f"warning: {warning}", style="yellow", highlight=False, markup=False, soft_wrap=True)
