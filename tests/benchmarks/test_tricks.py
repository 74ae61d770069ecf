"""The benchmark of tricks compares each change with what it says; no test asserts a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medtap.benchmarks import trick_measures, tricks
from medtap.benchmarks.trick_measures import Measured
from medtap.benchmarks.trick_options import Trick, TricksOptions
from medtap.errors import OptionError
from medtap.outputs import RunFolder
from tests.tiny import tiny_network

SMALL = {"size": 64, "shots": 2, "repeats": 1, "episodes": 1, "episode_size": 64, "queries": 2}


def run(folder: Path, **options: Any) -> dict[str, Any]:
    with RunFolder(folder, inputs=[], options={}) as opened:
        return tricks.run_tricks({**SMALL, **options}, 0, Path("tricks.yaml"), run=opened)


def test_each_trick_is_measured_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def directly(work: Any, *arguments: Any, environment: Any) -> Any:
        asked.append(dict(environment))
        return work(*arguments)

    monkeypatch.setattr(tricks, "in_fresh_process", directly)
    monkeypatch.setattr(trick_measures, "load_network", lambda _: tiny_network())
    few = {"passes": 1, "guard": "none"}
    chosen = {
        "plain": {"tap": few, "scored": True},
        "spinning": {"tap": few, "environment": {"GOMP_SPINCOUNT": "9"}},
        "float32": {"tap": {**few, "precision": "float32"}, "scored": True, "shots": 3},
    }
    rows = run(tmp_path, tricks=chosen)["tricks"]
    assert asked == [{}, {"GOMP_SPINCOUNT": "9"}, {}]
    assert list(rows) == list(chosen)
    assert all(row["adapt_seconds"] > 0 and row["peak_rss_mb"] > 0 for row in rows.values())
    assert rows["plain"]["adapt_times"] == 1.0
    assert "dice" not in rows["spinning"]
    assert {"dice", "dice_change", "dice_change_error"} <= rows["float32"].keys()
    assert "| spinning |" in (tmp_path / "table.md").read_text()


def test_rows_are_compared_by_hand() -> None:
    first, second = Measured(2.0, 0.5, 100.0, (0.5, 0.7)), Measured(3.0, 0.25, 90.0, (0.6, 0.6))
    row = tricks.compared(second, first)
    assert (row["adapt_times"], row["query_times"]) == (1.5, 0.5)
    assert row["dice"] == pytest.approx(0.6)
    assert row["dice_change"] == pytest.approx(0.0)
    assert row["dice_change_error"] == pytest.approx(0.1)
    assert "dice_change" not in tricks.compared(first, first)
    table = tricks.tricks_table({"a": tricks.compared(first, first), "b": row})
    assert "| b | 3 | 1.50 | 0.25 | 0.50 | 90 | 60.0 | +0.00 (error 10.00) |" in table.splitlines()


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(OptionError, match=r"'b' is compared with no earlier row.*c"):
        TricksOptions({"a": Trick(), "b": Trick(against="c")})
    with pytest.raises(OptionError, match="did you mean channels_last"):
        Trick(switch="channel_last")
    with pytest.raises(OptionError, match="'pases'"):
        Trick(tap={"pases": 1})
    with pytest.raises(OptionError, match="numbers of at least 1"):
        TricksOptions({"a": Trick()}, repeats=0)
