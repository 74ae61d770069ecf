from __future__ import annotations

import pytest

from medtap.datasets import LAYOUTS, find_cases
from medtap.errors import OptionError


def test_an_unknown_layout_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(OptionError, match=r"unknown layout.*did you mean isic2017"):
        find_cases(tmp_path, layout="isic2107")


def test_the_table_names_each_layout_by_its_own_name():
    assert set(LAYOUTS) == {"folder", "isic2017", "isic2018", "chest_xray", "decathlon"}


@pytest.mark.parametrize(
    ("images", "masks", "count", "classes"),
    [
        ("isic2017/ISIC-2017_Training_Data", "isic2017/ISIC-2017_Training_Part1_GroundTruth", 240, ("lesion",)),
        ("isic2017_native/images", "isic2017_native/masks", 7, None),
        ("chest_xray/CXR_png", "chest_xray/masks", 100, ("lung",)),
        ("msd_hippocampus/imagesTr", "msd_hippocampus/labelsTr", 25, ("anterior", "posterior")),
        ("msd_hippocampus", None, 25, ("anterior", "posterior")),
    ],
)
def test_every_real_set_is_found_whole(images, masks, count, classes, data_root):
    found = find_cases(data_root / images, None if masks is None else data_root / masks)
    assert len(found.cases) == count
    assert found.classes == classes
    assert not found.skipped
    assert all(case.mask for case in found.cases)
    assert [case.name for case in found.cases] == sorted(case.name for case in found.cases)
