"""A CSV with columns image and mask, paths relative to the file."""

from __future__ import annotations

import csv
from pathlib import Path

from medtap.data.dicom_file import is_dicom, visible_files
from medtap.datasets.cases import Case, CaseList
from medtap.datasets.listing import case_name
from medtap.datasets.paths import path_below
from medtap.errors import InputError


def find_listed(table: Path) -> CaseList:
    """Cases of a CSV file; rows without a mask are images to be predicted.

    Raises:
        InputError: not a CSV with an image column, no row, a path out of its folder or to no file, or an image
            listed twice.
    """
    root = table.absolute().parent
    cases = [_case(row, number, root, table) for number, row in enumerate(_rows(table), start=2)]
    names = [case.name for case in cases]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise InputError("images listed twice, or of one name without suffix", file=table, found=twice[0])
    return CaseList(tuple(sorted(cases, key=lambda case: case.name)))


def _rows(table: Path) -> list[dict[str, str | None]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            columns, rows = list(reader.fieldnames or []), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError("not a readable CSV file", file=table, expected="UTF-8 text with commas") from error
    if "image" not in columns:
        raise InputError(
            "a data list without the column image", file=table, expected="columns image, mask",
            found=f"{len(columns)} others",
        )  # fmt: skip
    if not rows:
        raise InputError("an empty data list", file=table, expected="a row for each image")
    return rows


def _case(row: dict[str, str | None], number: int, root: Path, table: Path) -> Case:
    image, mask = (_file(row.get(column), column, number, root, table) for column in ("image", "mask"))
    if image is None:
        raise InputError("a row without an image", file=table, found=f"line {number}")
    files = tuple(path for path in visible_files(image) if is_dicom(path)) if image.is_dir() else ()
    return Case(case_name(image, root), files[0] if files else image, mask, files=files)


def _file(named: str | None, column: str, number: int, root: Path, table: Path) -> Path | None:
    if named is None or not named.strip():
        return None
    path = path_below(root, named.strip(), table)
    if not (path.is_file() or (column == "image" and path.is_dir())):
        raise InputError(f"the {column} of line {number} does not exist", file=table, found=path.name)
    return path
