"""Transforms of workflows: masks are read onto the image's grid, and logits become masks on it again."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from medtap.data import SPACING, image_transforms
from medtap.errors import InputError, medtap_cause
from medtap.outputs import RunFolder
from medtap.workflows.transforms import LoadLabelsd, SaveMaskd, evaluation_transforms, mask_name, to_labels


def first_pair(folders):
    return (str(sorted(folder.iterdir())[0]) for folder in folders)


def test_labels_are_read_beside_the_image_on_its_stored_grid(volumes):
    image, label = first_pair(volumes)
    item = evaluation_transforms("axial", classes=2)({"image": image, "label": label})
    assert np.array_equal(item["label"][0].numpy(), np.asarray(nib.load(label).dataobj))
    assert item["label"].meta[SPACING].tolist() == [2, 1, 3]
    assert item["image"].shape == (1, 24, 20, 16)  # rows to posterior, columns to the left, planes upwards


def test_masks_of_a_layout_are_resized(lesions, tmp_path):
    image, _ = first_pair(lesions)
    Image.fromarray(np.full((20, 30), 255, np.uint8)).save(tmp_path / "small.png")
    item = {"image": image, "label": str(tmp_path / "small.png"), "resize_mask": True}
    assert evaluation_transforms("axial")(item)["label"].shape == (1, 40, 60)
    with pytest.raises(RuntimeError) as caught:
        evaluation_transforms("axial")(item | {"resize_mask": False})
    assert isinstance(medtap_cause(caught.value), InputError)


def test_grey_masks_take_a_threshold(lesions, tmp_path):
    image, _ = first_pair(lesions)
    Image.fromarray(np.tile(np.arange(60, dtype=np.uint8) * 4, (40, 1))).save(tmp_path / "grey.png")
    transforms = evaluation_transforms("axial", threshold=127)
    labels = transforms({"image": image, "label": str(tmp_path / "grey.png")})["label"]
    assert labels[0, 0].tolist() == [int(4 * column > 127) for column in range(60)]


def test_labels_above_the_classes_are_refused(volumes):
    image, label = first_pair(volumes)
    load = image_transforms().transforms[0]
    with pytest.raises(InputError, match="labels"):
        LoadLabelsd("label", classes=1)(load({"image": image, "label": label}))


@pytest.mark.parametrize("axis", ["axial", "coronal", "sagittal"])
def test_logits_become_labels_on_an_oblique_grid_again(tmp_path, axis):
    """Planes that hold the truth as logits come back as the very array that was stored."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, (6, 7, 8)).astype(np.uint8)
    affine = np.array([[0, -1.5, 0.2, 4], [-2.0, 0, 0.1, 5], [0.1, 0.1, 3.0, 6], [0, 0, 0, 1.0]])
    nib.save(nib.Nifti1Image(labels.astype(np.float32), affine), tmp_path / "scan.nii.gz")
    nib.save(nib.Nifti1Image(labels, affine), tmp_path / "mask.nii.gz")
    preprocessing = evaluation_transforms(axis, classes=2)
    item = preprocessing({"image": str(tmp_path / "scan.nii.gz"), "label": str(tmp_path / "mask.nii.gz")})
    planes = (2 * item["image"][0].as_tensor()).round()  # 0, 0.5 and 1 after the percentiles
    item["pred"] = torch.stack([planes == label for label in range(3)]).float()
    assert np.array_equal(to_labels(preprocessing)(item)["pred"][0].numpy(), labels)


def saved(labels, source, tmp_path, classes):
    meta = {"filename_or_obj": str(source)}
    with RunFolder(tmp_path / "out", inputs=[], options={}) as run:
        item = {"name": "a/b", "image": MetaTensor(torch.zeros(1), meta=meta), "pred": torch.as_tensor(labels[None])}
        SaveMaskd("pred", run, classes)(item)
    return tmp_path / "out"


@pytest.mark.parametrize(("classes", "shown"), [(1, 255), (2, 1)])
def test_images_get_png(tmp_path, classes, shown):
    labels = np.eye(4, dtype=np.uint8)
    out = saved(labels, tmp_path / "b.jpg", tmp_path, classes)
    assert np.array_equal(np.asarray(Image.open(out / "a" / "b.png")), labels * shown)


def test_volumes_get_nifti_of_their_affine(volumes, tmp_path):
    source, mask = first_pair(volumes)
    labels = np.asarray(nib.load(mask).dataobj)
    written = nib.load(saved(labels, source, tmp_path, 2) / "a" / "b.nii.gz")
    assert np.array_equal(np.asarray(written.dataobj), labels)
    assert np.array_equal(written.affine, nib.load(source).affine)


@pytest.mark.parametrize(
    ("source", "mask"),
    [
        ("a/b.JPG", "case.png"),
        ("b.tif", "case.png"),
        ("b.nii", "case.nii"),
        ("b.NII.GZ", "case.nii.gz"),
        ("b.dcm", "case.seg.dcm"),
        (["1.dcm", "2.dcm"], "case.seg.dcm"),
    ],
)
def test_names_of_masks(source, mask):
    assert mask_name("case", source) == mask
