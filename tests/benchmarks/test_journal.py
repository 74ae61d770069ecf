"""The journal gives back what was measured, whatever happened to the run that wrote it."""

from __future__ import annotations

import pytest

from medtap.benchmarks.journal import Journal, key_of


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.jsonl"


def test_entries_come_back(path):
    written = Journal(path).add("a", {"seconds": 0.5, "none": float("nan")})
    assert written == {"key": "a", "seconds": 0.5, "none": None}
    assert Journal(path).get("a") == written
    assert Journal(path).get("b") is None


@pytest.mark.parametrize("cut", [1, 8, 15])
def test_a_line_that_was_cut_short_is_passed_over_and_spoils_no_other(path, cut):
    journal = Journal(path)
    journal.add("a", {"seconds": 1})
    journal.add("b", {"seconds": 2})
    path.write_bytes(path.read_bytes()[:-cut])
    Journal(path).add("c", {"seconds": 3})
    after = Journal(path)
    assert after.get("a") == {"key": "a", "seconds": 1}
    assert after.get("b") == (None if cut > 1 else {"key": "b", "seconds": 2})
    assert after.get("c") == {"key": "c", "seconds": 3}


def test_the_last_entry_of_a_key_counts(path):
    Journal(path).add("a", {"seconds": 1})
    Journal(path).add("a", {"seconds": 2})
    assert Journal(path).get("a") == {"key": "a", "seconds": 2}


def test_keys_follow_what_they_are_made_of():
    keys = {key_of(method=method, episodes=episodes) for method in ({"T": 8}, {"T": 9}) for episodes in (["a"], ["b"])}
    assert len(keys) == 4
    assert key_of(a=1, b=2) == key_of(b=2, a=1)
