"""Seconds of work that is done again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median, quantiles


def seconds_of(work: Callable[[], object], repeats: int, warm_up: int = 1) -> list[float]:
    """Seconds that some work takes each time, after so many times that are not counted."""
    for _ in range(warm_up):
        work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return seconds


def seconds_in_turns(works: Sequence[Callable[[], object]], repeats: int, warm_up: int = 1) -> list[list[float]]:
    """As ``seconds_of`` each of several works that take turns, so that a machine others use slows all of them alike."""
    rounds = [[seconds_of(work, 1, 0)[0] for work in works] for _ in range(warm_up + repeats)]
    return [list(seconds) for seconds in zip(*rounds[warm_up:], strict=True)]


def timed(work: Callable[[], object], repeats: int, warm_up: int = 1) -> float:
    """Median seconds of some work."""
    return median(seconds_of(work, repeats, warm_up))


def spread(seconds: Sequence[float]) -> float:
    """The interquartile range; 0 of a single measurement."""
    if len(seconds) < 2:
        return 0.0
    lower, _, upper = quantiles(seconds, n=4, method="inclusive")
    return upper - lower
