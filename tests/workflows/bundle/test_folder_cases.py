"""A folder as a data list that is looked into when it is needed."""

from __future__ import annotations

import pytest

from medtap.errors import InputError, OptionError
from medtap.workflows.bundle import FolderCases


def test_items_are_those_of_the_folder(lesions):
    cases = FolderCases(*lesions)
    assert len(cases) == 6
    assert cases[0]["name"] == "case0"
    assert cases[0]["label"].endswith("case0_segmentation.png")
    assert [item["name"] for item in cases[4:]] == ["case4", "case5"]


def test_no_masks_no_labels(lesions):
    assert all("label" not in item for item in FolderCases(lesions[0]))


def test_folders_are_what_is_read(lesions):
    assert FolderCases(lesions[0]).folders == [lesions[0]]
    assert FolderCases(*lesions).folders == list(lesions)


def test_folder_is_not_looked_into_before_it_is_needed(tmp_path):
    cases = FolderCases(tmp_path / "none")
    with pytest.raises(InputError, match="none: no such file or folder"):
        len(cases)


def test_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=str(tmp_path)):
        FolderCases(tmp_path)[0]


def test_unknown_layout_is_refused(lesions):
    with pytest.raises(OptionError, match="did you mean isic2018"):
        len(FolderCases(lesions[0], layout="isic2019"))
