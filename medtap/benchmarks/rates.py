"""The choice of a learning rate for each adapter: which are tried, and which gains most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Rates:
    """Learning rates to try.

    Attributes:
        grid: by the name of an adapter's method, the rates.
        tap: of `TapOptions`, what all of them share.
    """

    grid: Mapping[str, Sequence[float]] = field(default_factory=dict)
    tap: Mapping[str, Any] = field(default_factory=dict)


def rate_methods(rates: Rates) -> dict[str, dict[str, Any]]:
    """A method of the benchmark for each adapter and rate, named as ``svf 0.01``."""
    return {
        _name(method, rate): {"method": method, "tap": {**rates.tap, "learning_rate": rate}}
        for method, grid in rates.grid.items()
        for rate in grid
    }


def best_rates(summary: Mapping[str, Mapping[str, Any]], rates: Rates) -> dict[str, float]:
    """The rate of the highest mIoU for each adapter, the lower one of two that are equal.

    All are measured on the same episodes, so that the highest mIoU is also the largest difference to any other method.

    Args:
        summary: what ``summarise_methods`` gives.
        rates: that were tried.
    """
    return {
        method: max(sorted(grid), key=lambda rate: summary[_name(method, rate)]["miou"]["mean"])
        for method, grid in rates.grid.items()
    }


def _name(method: str, rate: float) -> str:
    return f"{method} {rate:g}"
