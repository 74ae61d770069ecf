"""What the journal's entries of all methods come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medtap.benchmarks.journal import Entry
from medtap.metrics import CaseScores, Pooled, bootstrap_weights

VANILLA = "vanilla"
"""The method that differences are told to."""


def summarise_methods(entries: Mapping[str, Sequence[Entry]], seed: int) -> dict[str, dict[str, Any]]:
    """Scores, differences to ``vanilla`` and cost of methods that were measured on the same draws."""
    queries = {name: [query for entry in of for query in entry["queries"]] for name, of in entries.items()}
    images = [query["image"] for query in next(iter(queries.values()))]
    weights = bootstrap_weights(images, seed)
    scored, native = (
        {name: Pooled([_case(query[grid]) for query in of], weights) for name, of in queries.items()}
        for grid in ("scores", "native")
    )
    count = {"cases": len(images), "images": len(set(images)), "failed": 0}
    return {
        name: {
            **count,
            "unit": scored[name].unit,
            **scored[name].scores(),
            **_difference(name, scored),
            "native": {"unit": native[name].unit, **native[name].scores()},
            "cost": _cost(of),
        }
        for name, of in entries.items()
    }


def _difference(name: str, scored: Mapping[str, Pooled]) -> dict[str, Any]:
    if name == VANILLA or VANILLA not in scored:
        return {}
    return {"difference_to_vanilla": scored[name].difference(scored[VANILLA])}


def _case(kept: Mapping[str, Any]) -> CaseScores:
    """Scores as the journal keeps them, None standing for nan."""
    lists = {name: value for name, value in kept.items() if isinstance(value, list)}
    tuples = {name: tuple(np.nan if one is None else one for one in value) for name, value in lists.items()}
    return CaseScores(**{**kept, **tuples})


def _cost(entries: Sequence[Entry]) -> dict[str, float | None]:
    """Mean seconds of a support set and of a query; the most memory, in MB of 2^20 bytes, while it learnt.

    With them how many numbers are trained and the bytes of their tensors; None where the method does not tell, as
    journals of before this was asked do not.
    """
    seconds = [query["seconds"] for entry in entries for query in entry["queries"]]
    return {
        "adapt_seconds": float(np.mean([entry["adapt_seconds"] for entry in entries])),
        "seconds_per_query": float(np.mean(seconds)),
        "support_draws": len(entries),
        "peak_rss_mb": max(entry["peak_rss_mb"] for entry in entries),
        "parameters": _told("parameters", entries),
        "saved_bytes": _told("saved_bytes", entries),
    }


def _told(name: str, entries: Sequence[Entry]) -> int | None:
    """The first value that entries tell: it is the same for every support set."""
    return next((entry[name] for entry in entries if entry.get(name) is not None), None)
