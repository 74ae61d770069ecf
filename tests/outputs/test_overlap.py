"""Outputs and inputs apart, whatever the paths look like."""

from __future__ import annotations

import pytest

from medtap.errors import OutputError
from medtap.outputs.overlap import refuse_overlap


@pytest.fixture
def scans(tmp_path):
    (tmp_path / "scans" / "sub").mkdir(parents=True)
    (tmp_path / "scans" / "a.png").write_text("")
    return tmp_path / "scans"


@pytest.mark.parametrize("name", ["scans", "scans/", "scans/sub/..", "link"])
def test_equal(tmp_path, scans, name):
    (tmp_path / "link").symlink_to(scans)
    with pytest.raises(
        OutputError, match=r"the output folder is an input folder; found the input .*scans; choose another"
    ):
        refuse_overlap(tmp_path / name, [scans])


@pytest.mark.parametrize("name", ["scans/sub", "scans/new/deep", "link/new"])
def test_inside(tmp_path, scans, name):
    (tmp_path / "link").symlink_to(scans)
    with pytest.raises(OutputError, match="lies in an input folder"):
        refuse_overlap(tmp_path / name, [scans])


def test_around(tmp_path, scans):
    with pytest.raises(OutputError, match="has an input in it"):
        refuse_overlap(tmp_path, [scans])
    with pytest.raises(OutputError, match="has an input in it"):
        refuse_overlap(scans, [scans / "a.png"])


def test_apart(tmp_path, scans):
    refuse_overlap(tmp_path / "scans-out", [scans, tmp_path / "missing"])
    refuse_overlap(scans / "out", [scans / "a.png"])


def test_relative_paths(scans, monkeypatch):
    monkeypatch.chdir(scans)
    with pytest.raises(OutputError, match="lies in an input folder"):
        refuse_overlap(scans / "out", [scans.parent.joinpath("scans"), scans])
    with pytest.raises(OutputError, match="is an input folder"):
        refuse_overlap(scans.relative_to(scans), [scans])
