from __future__ import annotations

import hashlib

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from medtap.data import image_transforms, planes_of, read_scan, resize_images
from medtap.datasets import CaseList, find_cases
from medtap.episodes import draw_support
from medtap.errors import InputError, OptionError, SupportError


def draw(cases, shots=3, seed=0, size=32, **options):
    return draw_support(cases, shots=shots, seed=seed, size=size, **options)


def empty(path):
    with Image.open(path) as picture:
        Image.new("L", picture.size).save(path)


def test_a_seed_gives_the_same_set_and_another_seed_another(lesions):
    cases = find_cases(*lesions)
    assert draw(cases).sha256 == draw(cases).sha256
    assert len({draw(cases, seed=seed).sha256 for seed in range(5)}) > 1


def test_a_larger_draw_begins_with_the_smaller(lesions):
    cases = find_cases(*lesions)
    assert draw(cases, 5).sources[:2] == draw(cases, 2).sources


def test_pairs_are_what_inference_makes_of_the_same_files(lesions):
    support = draw(find_cases(*lesions), size=16)
    for image, source in zip(support.images, support.sources, strict=True):
        path = lesions[0] / f"{source.name}.png"
        expected = resize_images(image_transforms()({"image": path})["image"].as_tensor()[None], 16)[0]
        torch.testing.assert_close(image, expected)
        assert source.image_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert source.plane is None
    assert support.masks.unique().tolist() == [0, 1]
    assert support.classes == ("foreground",)


def test_names_of_classes_are_taken_over(lesions):
    assert draw(find_cases(*lesions), classes=["lesion"]).classes == ("lesion",)


@pytest.mark.parametrize("axis", ["axial", "coronal", "sagittal"])
def test_planes_come_from_different_volumes_first(axis, volumes):
    support = draw(find_cases(*volumes), shots=5, axis=axis)
    names = [source.name for source in support.sources]
    assert len(set(names[:3])) == 3
    assert len({(source.name, source.plane) for source in support.sources}) == 5
    assert support.classes == ("class1", "class2")
    for mask, source in zip(support.masks, support.sources, strict=True):
        labels = read_scan(volumes[1] / f"{source.name}.nii.gz")
        plane = planes_of(labels.pixels, labels.geometry, axis)[..., source.plane]
        assert (plane > 0).mean() >= 0.01
        assert set(np.unique(plane)) == set(mask.unique().tolist())


def test_planes_of_less_than_one_percent_are_not_drawn(volumes):
    for path in volumes[1].iterdir():
        labels = np.zeros((20, 24, 16), np.uint8)
        labels[3, 3, :] = 1  # 1 of 480 pixels
        labels[5:10, 5:10, 7] = 1
        nib.save(nib.Nifti1Image(labels, nib.load(path).affine), path)
    planes = {source.plane for source in draw(find_cases(*volumes)).sources}
    assert planes == {16 - 1 - 7}  # the stored third axis runs downwards
    with pytest.raises(SupportError, match=r"fewer pairs than shots.*1% foreground.*found 3"):
        draw(find_cases(*volumes), shots=4)


def test_a_class_that_the_first_draw_misses_is_fetched(lesions):
    cases = find_cases(*lesions)
    for case in cases.cases:
        with Image.open(case.mask) as picture:
            label = 2 if case.name == "case3" else 1
            Image.fromarray((np.asarray(picture) > 0).astype(np.uint8) * label).save(case.mask)
    for seed in range(6):
        support = draw(cases, shots=2, seed=seed, classes=["common", "rare"])
        assert "case3" in [source.name for source in support.sources]


def test_a_class_in_no_mask_is_refused(lesions):
    with pytest.raises(SupportError, match=r"class that no mask holds.*each of 2 classes.*no mask for label 2"):
        draw(find_cases(*lesions), classes=["a", "b"])


def test_an_empty_drawn_mask_is_refused(lesions):
    cases = find_cases(*lesions)
    empty(cases.cases[2].mask)
    with pytest.raises(SupportError, match=r"an empty mask in the support set: case2.*--seed"):
        draw(cases, shots=6)


def test_a_mask_that_vanishes_at_the_networks_size_is_refused(tmp_path):
    for folder in ("i", "m"):
        (tmp_path / folder).mkdir()
        dot = np.zeros((64, 64), np.uint8)
        dot[0, 0] = 255
        Image.fromarray(dot).save(tmp_path / folder / "a.png")
    with pytest.raises(SupportError, match=r"empty mask.*none at 8 x 8 pixels"):
        draw(find_cases(tmp_path / "i", tmp_path / "m"), shots=1, size=8)


def test_fewer_images_than_shots_are_refused_saying_how_many(lesions):
    with pytest.raises(SupportError, match=r"fewer pairs than shots; expected 9 .*found 6.*--shots 6"):
        draw(find_cases(*lesions), shots=9)


def test_no_shot_is_refused(lesions):
    with pytest.raises(SupportError, match="--shots of at least 1; found 0"):
        draw(find_cases(*lesions), shots=0)


def test_cases_without_masks_are_refused(lesions):
    with pytest.raises(SupportError, match=r"no image with a mask.*--support-masks"):
        draw(CaseList(find_cases(lesions[0]).cases))


@pytest.mark.parametrize(("seed", "size"), [(-1, 32), (0, 0)])
def test_a_seed_or_size_that_cannot_be_is_refused(seed, size, lesions):
    with pytest.raises(OptionError, match="a seed or size that cannot be"):
        draw(find_cases(*lesions), seed=seed, size=size)


def test_an_unknown_axis_is_refused(lesions):
    with pytest.raises(OptionError, match="unknown axis"):
        draw(find_cases(*lesions), axis="up")


def test_only_what_is_needed_is_read(lesions):
    cases = find_cases(*lesions)
    kept = {source.name for source in draw(cases, shots=2).sources}
    for case in cases.cases:
        if case.name not in kept:
            case.image.unlink()
    assert {source.name for source in draw(cases, shots=2).sources} == kept


def test_the_same_image_twice_is_a_warning(lesions):
    cases = find_cases(*lesions)
    cases.cases[1].image.write_bytes(cases.cases[0].image.read_bytes())
    assert "same image twice" in draw(cases, shots=6).warnings[0]


@pytest.mark.parametrize("axis", ["axial", "coronal"])
def test_real_volumes_give_both_classes(axis, data_root):
    support = draw(find_cases(data_root / "msd_hippocampus"), shots=5, size=64, axis=axis)
    assert support.classes == ("anterior", "posterior")
    assert len({source.name for source in support.sources}) == 5


def test_real_x_rays_need_a_threshold(data_root):
    cases = find_cases(data_root / "chest_xray" / "CXR_png", data_root / "chest_xray" / "masks")
    with pytest.raises(InputError, match="--mask-threshold"):
        draw(cases)
    assert draw(cases, mask_threshold=127).classes == ("lung",)
