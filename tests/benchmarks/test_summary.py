"""What entries of the journal come to, those of older journals too."""

from __future__ import annotations

import pytest

from medtap.benchmarks.published import markdown_page
from medtap.benchmarks.summary import summarise_methods

SCORES = {
    "classes": ["a"], "dice": [0.8], "iou": [2 / 3], "surface_dice": [None], "hd95": [None],
    "intersection": [2, 5], "union": [3, 6], "size": 8, "unit": "px", "tolerance": 2.0,
}  # fmt: skip


def entry(**cost):
    query = {"image": "one.png", "seconds": 0.5, "scores": SCORES, "native": SCORES}
    return {"adapt_seconds": 2.0, "peak_rss_mb": 900.0, **cost, "queries": [query]}


def test_cost_is_of_all_support_sets():
    entries = [entry(parameters=10, saved_bytes=40), entry(peak_rss_mb=950.5, adapt_seconds=4.0, parameters=10)]
    cost = summarise_methods({"svf": entries}, seed=0)["svf"]["cost"]
    assert cost == {
        "adapt_seconds": pytest.approx(3.0), "seconds_per_query": pytest.approx(0.5), "support_draws": 2,
        "peak_rss_mb": 950.5, "parameters": 10, "saved_bytes": 40,
    }  # fmt: skip


def test_entries_of_before_what_is_trained_was_asked_are_read():
    cost = summarise_methods({"tap": [entry()]}, seed=0)["tap"]["cost"]
    assert (cost["parameters"], cost["saved_bytes"], cost["adapt_seconds"]) == (None, None, 2.0)


def test_table_shows_what_is_trained_and_a_dash_where_it_is_not_known():
    measured = {"svf": [entry(parameters=12345, saved_bytes=49380)], "tap": [entry()]}
    protocol = {"config": "mine", "shots": 5, "episodes": 1, "seed": 0, "note": "", "pictures": {"a": 1}}
    protocol |= {"scored_on": "their own grid", "query_images": 1}
    results = {"protocol": protocol, "published": {}, "episodes_sha256": "0" * 64}
    page = markdown_page({**results, "methods": summarise_methods(measured, seed=0)})
    assert "| trained parameters | saved, bytes | adapting, s | a query, s | peak memory, MB |" in page
    assert "| 12,345 | 49,380 | 2 | 0.5 | 900 |" in page
    assert "| - | - | 2 | 0.5 | 900 |" in page
