from __future__ import annotations

import pytest

from medtap.datasets import Case, find_cases
from medtap.datasets.paths import path_below
from medtap.errors import InputError


@pytest.fixture
def table(tmp_path):
    for name in ("i/b.png", "i/a.png", "m/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")

    def write(text):
        (tmp_path / "list.csv").write_text(text)
        return tmp_path / "list.csv"

    return write


def test_rows_are_pairs_sorted_by_name_and_masks_may_be_absent(table, tmp_path):
    found = find_cases(table(f"image,mask\ni/b.png,m/1.png\n{tmp_path / 'i' / 'a.png'},\n"))
    assert found.cases == (
        Case("i/a", tmp_path / "i" / "a.png"),
        Case("i/b", tmp_path / "i" / "b.png", tmp_path / "m" / "1.png"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,mask\n", "an empty data list"),
        ("file,label\na,b\n", "without the column image"),
        ("image,mask\n,m/1.png\n", "a row without an image; found line 2"),
        ("image\ni/a.png\ni/a.png\n", r"images listed twice.*found i/a"),
        ("image\ni/z.png\n", r"the image of line 2 does not exist; found z\.png"),
        ("image,mask\ni/a.png,m/9.png\n", r"the mask of line 2 does not exist; found 9\.png"),
        ("image\n../x.png\n", "leads out of its own folder"),
        ("image\ni/../../x.png\n", "leads out of its own folder"),
        ("image,mask\ni/a.png,/etc/passwd\n", "leads out of its own folder"),
    ],
)
def test_bad_lists_are_refused(text, message, table):
    with pytest.raises(InputError, match=message):
        find_cases(table(text))


def test_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "list.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match="not a readable CSV"):
        find_cases(tmp_path / "list.csv")


@pytest.mark.parametrize("named", ["..", "a/../..", "..\\x", ".", "a\0b", "/"])
def test_paths_out_of_the_root_are_refused(named, tmp_path):
    with pytest.raises(InputError, match="leads out of its own folder"):
        path_below(tmp_path, named, tmp_path / "list.csv")


def test_a_sibling_whose_name_begins_alike_is_outside(tmp_path):
    with pytest.raises(InputError, match="leads out"):
        path_below(tmp_path / "a", str(tmp_path / "ab" / "x.png"), tmp_path)
