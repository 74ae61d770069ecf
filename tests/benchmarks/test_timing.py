"""Seconds of work."""

from __future__ import annotations

import pytest

from medtap.benchmarks.timing import seconds_in_turns, seconds_of, spread, timed


def test_warm_up_is_done_and_not_counted() -> None:
    done: list[int] = []
    assert len(seconds_of(lambda: done.append(1), repeats=3, warm_up=2)) == 3
    assert len(done) == 5


def test_works_take_turns() -> None:
    done: list[str] = []
    seconds = seconds_in_turns([lambda: done.append("a"), lambda: done.append("b")], repeats=2, warm_up=1)
    assert done == ["a", "b"] * 3
    assert [len(each) for each in seconds] == [2, 2]


def test_timed_gives_the_median(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 5.0, 10.0, 11.0, 20.0, 22.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(ticks))
    assert timed(lambda: None, repeats=3, warm_up=0) == 2.0


def test_spread_is_the_interquartile_range() -> None:
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0]) == 2.0
    assert spread([7.0]) == 0.0
