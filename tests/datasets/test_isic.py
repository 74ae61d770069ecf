from __future__ import annotations

from medtap.datasets import find_cases


def make(root, images, masks):
    for folder, names in (
        (images, ["ISIC_1.jpg", "ISIC_1_superpixels.png", "LICENSE.txt"]),
        (masks, ["ISIC_1_segmentation.png"]),
    ):
        (root / folder).mkdir()
        for name in names:
            (root / folder / name).write_bytes(b"x")


def test_2017_ignores_superpixels_resizes_masks_and_groups_by_diagnosis(tmp_path):
    make(tmp_path, "ISIC-2017_Test_v2_Data", "ISIC-2017_Test_v2_Part1_GroundTruth")
    table = "image_id,melanoma,seborrheic_keratosis\nISIC_1,0.0,1.0\n"
    (tmp_path / "ISIC-2017_Test_v2_Part3_GroundTruth.csv").write_text(table)
    found = find_cases(tmp_path, layout="isic2017")
    (case,) = found.cases
    assert (case.name, case.resize_mask, case.group) == ("ISIC_1", True, "seborrheic_keratosis")
    assert found.classes == ("lesion",)
    assert [path.name for path, _ in found.skipped] == ["ISIC_1_superpixels.png", "LICENSE.txt"]


def test_2018_is_certain_by_its_folders_name(tmp_path):
    make(tmp_path, "ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth")
    found = find_cases(tmp_path / "ISIC2018_Task1-2_Training_Input", tmp_path / "ISIC2018_Task1_Training_GroundTruth")
    assert found.classes == ("lesion",)
    assert found.cases[0].resize_mask
    assert find_cases(tmp_path, layout="isic2018").cases == found.cases
    assert find_cases(tmp_path) == find_cases(tmp_path, layout="isic2018")


def test_the_real_set_has_eighty_of_each_diagnosis(data_root):
    groups = [case.group for case in find_cases(data_root / "isic2017", layout="isic2017").cases]
    assert {group: groups.count(group) for group in set(groups)} == {
        "nevus": 80,
        "melanoma": 80,
        "seborrheic_keratosis": 80,
    }
