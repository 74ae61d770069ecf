from __future__ import annotations

import pytest

from medtap.datasets import find_cases
from medtap.datasets.listing import list_scans, mask_stem
from medtap.errors import InputError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


@pytest.mark.parametrize("ending", ["", "_segmentation", "_mask"])
def test_masks_are_paired_by_stem_and_ending(ending, tmp_path):
    images = touch(tmp_path / "i", "b.jpg", "sub/a.PNG")
    masks = touch(tmp_path / "m", f"b{ending}.png", f"sub/a{ending}.nii.gz")
    found = find_cases(images, masks)
    assert [(case.name, case.mask.name) for case in found.cases] == [
        ("b", f"b{ending}.png"),
        ("sub/a", f"a{ending}.nii.gz"),
    ]


def test_a_mask_elsewhere_fits_if_its_name_is_the_only_one(tmp_path):
    found = find_cases(touch(tmp_path / "i", "sub/a.png"), touch(tmp_path / "m", "a.png"))
    assert found.cases[0].mask == tmp_path / "m" / "a.png"


def test_the_same_subfolder_wins(tmp_path):
    found = find_cases(touch(tmp_path / "i", "x/a.png", "y/a.png"), touch(tmp_path / "m", "x/a.png", "y/a.png"))
    assert [case.mask.parent.name for case in found.cases] == ["x", "y"]


def test_two_masks_for_one_image_are_refused(tmp_path):
    masks = touch(tmp_path / "m", "a.png", "a_mask.png")
    with pytest.raises(InputError, match=r"more than one mask for one image.*a\.png, a_mask\.png"):
        find_cases(touch(tmp_path / "i", "a.png"), masks)


def test_one_mask_for_two_images_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"one mask for several images.*subfolders"):
        find_cases(touch(tmp_path / "i", "x/a.png", "y/a.png"), touch(tmp_path / "m", "a.png"))


def test_images_of_one_name_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"images of one name.*a 2 times"):
        find_cases(touch(tmp_path / "i", "a.png", "a.jpg"))


def test_images_without_a_mask_are_skipped_and_listed(tmp_path):
    found = find_cases(touch(tmp_path / "i", "a.png", "b.png"), touch(tmp_path / "m", "a.png", "z.png"))
    assert [case.name for case in found.cases] == ["a"]
    assert found.skipped == ((tmp_path / "i" / "b.png", "no mask of its name"),)
    assert found.warnings == ("1 masks fit no image",)


def test_no_pair_at_all_is_refused(tmp_path):
    with pytest.raises(InputError, match="no mask fits any image"):
        find_cases(touch(tmp_path / "i", "a.png"), touch(tmp_path / "m", "b.png"))


def test_masks_among_the_images_are_no_images(tmp_path):
    root = touch(tmp_path / "i", "a.jpg", "a_segmentation.png", "masks/b.png", "b.jpg")
    found = find_cases(root, root / "masks")
    assert [case.name for case in found.cases] == ["b"]
    assert dict(found.skipped)[root / "a_segmentation.png"] == "the mask of a by its name"
    assert dict(found.skipped)[root / "masks" / "b.png"] == "in the folder of the masks"


def test_images_and_masks_in_one_folder_are_told_apart(tmp_path):
    root = touch(tmp_path / "i", "a.jpg", "a_mask.png", "b.jpg", "b_mask.png")
    found = find_cases(root, root)
    assert [(case.image.name, case.mask.name) for case in found.cases] == [
        ("a.jpg", "a_mask.png"),
        ("b.jpg", "b_mask.png"),
    ]


def test_hidden_files_are_passed_over_and_others_listed(tmp_path):
    root = touch(tmp_path / "i", "a.png", "._a.png", ".hidden/c.png", "notes.txt")
    found = find_cases(root)
    assert [case.name for case in found.cases] == ["a"]
    assert found.skipped == ((root / "notes.txt", "not a kind of file that medtap reads"),)


def test_one_file_is_one_case(tmp_path):
    root = touch(tmp_path, "a.nii.gz", "m.nii.gz")
    assert find_cases(root / "a.nii.gz").cases[0].name == "a"
    assert find_cases(root / "a.nii.gz", root / "m.nii.gz").cases[0].mask == root / "m.nii.gz"


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no image in it.*found 1 others"):
        find_cases(touch(tmp_path, "a.txt"))


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        list_scans(tmp_path / "gone")


def test_the_mask_of_a_mask_like_name():
    assert mask_stem("a_mask") == "a"
    assert mask_stem("a") == "a"
