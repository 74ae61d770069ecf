"""JSON and CSV: strict, rounded, sorted."""

from __future__ import annotations

import csv
import json
from pathlib import PureWindowsPath

import numpy as np
import pytest

from medtap.errors import OutputError
from medtap.outputs import write_csv, write_json
from medtap.outputs.tables import plain


def test_json_is_strict_sorted_and_rounded(tmp_path):
    write_json(tmp_path / "a.json", {"b": float("nan"), "a": 1 / 3, "n": np.int64(3), "l": np.array([1.5, np.inf])})
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == {"a": 0.333333, "b": None, "l": [1.5, None], "n": 3}
    assert text.index('"a"') < text.index('"b"')
    assert text.endswith("}\n")


def test_json_hides_the_order_of_a_sum(tmp_path):
    write_json(tmp_path / "a.json", {"x": 0.1 + 0.2 + 0.3})
    write_json(tmp_path / "b.json", {"x": 0.3 + 0.2 + 0.1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_small_numbers_survive_rounding():
    assert plain(1.23456789e-9, 6) == 1.23457e-09
    assert plain(1.23456789e-9) == 1.23456789e-9


def test_plain_words():
    value = {1: PureWindowsPath("a\\b"), "s": {"y", "x"}, "t": (True, None), "u": "ü", "f": np.float32(0.5)}
    assert plain(value) == {"1": "a/b", "s": ["x", "y"], "t": [True, None], "u": "ü", "f": 0.5}


def test_json_refuses_what_it_has_no_word_for(tmp_path):
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(tmp_path / "a.json", {"a": object()})
    assert list(tmp_path.iterdir()) == []


def test_csv_rows_are_sorted_and_gaps_empty(tmp_path):
    rows = [{"case": "b", "dice": 2 / 3}, {"case": 'a,"x"', "dice": float("nan")}, {"case": "c"}]
    write_csv(tmp_path / "a.csv", rows, ["case", "dice"])
    with (tmp_path / "a.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["case", "dice"], ['a,"x"', ""], ["b", "0.666667"], ["c", ""]]
    assert b"\r" not in (tmp_path / "a.csv").read_bytes()


def test_csv_without_rows_is_a_header(tmp_path):
    write_csv(tmp_path / "a.csv", [], ["file", "reason"])
    assert (tmp_path / "a.csv").read_text() == "file,reason\n"


def test_csv_refuses_an_unknown_column(tmp_path):
    with pytest.raises(ValueError, match="not in fieldnames"):
        write_csv(tmp_path / "a.csv", [{"case": "a", "dcie": 1}], ["case", "dice"])
    assert list(tmp_path.iterdir()) == []


def test_unwritable(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_json(tmp_path / "file" / "a.json", {})
