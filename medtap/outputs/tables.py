"""JSON and CSV files that are strict, atomic and the same bytes for the same numbers."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from medtap.outputs.atomic import atomic_write

DIGITS = 6
"""Significant digits that numbers in tables are rounded to, so that the order of a sum does not show."""


def write_json(path: str | Path, document: Mapping[str, Any], *, digits: int | None = DIGITS) -> None:
    """Write a JSON file with sorted keys, atomically.

    Args:
        path: the file.
        document: what to write; see `plain` for what it may hold.
        digits: significant digits that numbers are rounded to; None keeps all.

    Raises:
        OutputError: the file cannot be written.
        TypeError: the document holds something that JSON has no word for.
    """
    text = json.dumps(plain(document, digits), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    with atomic_write(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def write_csv(
    path: str | Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, digits: int = DIGITS
) -> None:
    """Write a CSV file with a header, its rows sorted by the first column, atomically.

    Args:
        path: the file.
        rows: column name to value; a missing value, None and nan are left empty.
        columns: the columns in their order; other keys of the rows are an error.
        digits: significant digits that numbers are rounded to.

    Raises:
        OutputError: the file cannot be written.
        ValueError: a row has a key that is no column.
    """
    ordered = sorted(rows, key=lambda row: str(row.get(columns[0], "")))
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(plain(row, digits) for row in ordered)


def plain(value: Any, digits: int | None = None) -> Any:
    """Make a value of what strict JSON has words for.

    Args:
        value: None, booleans, text, paths, Python's and NumPy's numbers and arrays, and mappings and iterables of them.
        digits: significant digits to round to; None keeps all.

    Returns:
        The value of plain Python types; nan and infinity are None, paths have forward slashes.
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        return _rounded(value, digits)
    if isinstance(value, PurePath):
        return value.as_posix()
    if isinstance(value, Mapping):
        return {str(key): plain(item, digits) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        value = sorted(value)
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [plain(item, digits) for item in value]
    return value


def _rounded(value: float, digits: int | None) -> float | None:
    if not math.isfinite(value):
        return None
    return value if digits is None else float(f"{value:.{digits}g}")
