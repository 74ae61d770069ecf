from __future__ import annotations

from medtap.datasets import find_cases


def test_both_ways_of_naming_masks_and_both_sites(tmp_path):
    for name in (
        "CXR_png/CHNCXR_1_0.png",
        "CXR_png/MCUCXR_2_1.png",
        "masks/CHNCXR_1_0_mask.png",
        "masks/MCUCXR_2_1.png",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = find_cases(tmp_path, layout="chest_xray")
    assert [(case.name, case.group) for case in found.cases] == [
        ("CHNCXR_1_0", "shenzhen"),
        ("MCUCXR_2_1", "montgomery"),
    ]
    assert [case.mask.name for case in found.cases] == ["CHNCXR_1_0_mask.png", "MCUCXR_2_1.png"]
    assert find_cases(tmp_path / "CXR_png", tmp_path / "masks") == found
