from __future__ import annotations

from pathlib import Path

import pytest

from medtap.data import ScanReader, read_scan, split_suffix
from medtap.errors import InputError


@pytest.mark.parametrize(
    ("name", "parts"),
    [("a.nii.gz", ("a", ".nii.gz")), ("a.b.PNG", ("a.b", ".PNG")), ("a.gz", ("a.gz", "")), (".png", (".png", ""))],
)
def test_names_are_split_at_the_whole_suffix(name, parts):
    assert split_suffix(Path("x") / name) == parts


def test_each_kind_goes_to_its_reader(lesions, volumes):
    assert read_scan(lesions[0] / "case0.png").is_colour
    assert read_scan(str(volumes[0] / "scan0.nii.gz")).is_volume


def test_a_kind_without_a_reader_is_refused():
    with pytest.raises(InputError, match=r"a\.txt: no reader for this kind of file; expected one of \.png"):
        read_scan("a.txt")


def test_the_reader_verifies_names():
    assert ScanReader().verify_suffix(["a.nii.gz"])
    assert not ScanReader().verify_suffix("a.txt")
