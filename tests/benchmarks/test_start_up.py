"""The benchmark of starting up runs what it says; no test asserts a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from medtap.benchmarks import start_up
from medtap.benchmarks.start_up import StartUpOptions, measure_command, run_start_up
from medtap.errors import OptionError


def test_a_command_is_timed_and_tells_its_peak() -> None:
    row = measure_command(["-c", start_up._IMPORT], repeats=1)
    assert row["seconds"] > 0
    assert 5 < row["peak_rss_mb"] < 100


def test_a_command_that_fails_is_an_error() -> None:
    with pytest.raises(RuntimeError, match=r"ended with 3: no good"):
        measure_command(["-c", "import sys; print('no good', file=sys.stderr); sys.exit(3)"], repeats=1)


def test_all_commands_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = []
    monkeypatch.setattr(start_up, "peak_of", lambda words: run.append(words) or 7.0)
    settings = run_start_up({"repeats": 1, "shots": 3}, 0, tmp_path)["settings"]
    assert len(run) == 2 * len(settings)
    assert {"import medtap", "medtap --help", "medtap adapt, K = 3", "first mask in Python"} <= settings.keys()
    assert all(row["peak_rss_mb"] == 7.0 for row in settings.values())


def test_numbers_below_one_are_refused() -> None:
    with pytest.raises(OptionError, match="at least 1"):
        StartUpOptions(repeats=0)
