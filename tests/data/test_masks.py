from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from medtap.data import Geometry, Scan, labels_of, read_labels, read_scan
from medtap.data.masks import resize_nearest
from medtap.errors import InputError


def image_of(shape, affine=None):
    return Scan(np.zeros(shape, np.uint8), Geometry(np.eye(4) if affine is None else affine, shape), Path("image"))


def save(values, path):
    (values if isinstance(values, Image.Image) else Image.fromarray(np.asarray(values))).save(path)
    return path


@pytest.mark.parametrize("white", [1, 255])
def test_masks_of_black_and_white_are_binary(white, tmp_path):
    mask = np.array([[0, white], [white, 0]], np.uint8)
    labels = read_labels(save(mask, tmp_path / "m.png"), image_of((2, 2)))
    np.testing.assert_array_equal(labels, mask > 0)
    assert labels.dtype == np.uint8


@given(hnp.arrays(np.uint8, (3, 4), elements=st.integers(0, 5)))
def test_label_maps_are_kept(values):
    np.testing.assert_array_equal(labels_of(values, classes=5), values)


def test_foreground_lies_above_the_threshold():
    np.testing.assert_array_equal(labels_of(np.array([[0, 127, 128, 255]]), threshold=127), [[0, 0, 1, 1]])


@pytest.mark.parametrize("values", [[0, 3, 128, 255], [0, 128], [0.5, 1.0], [-1, 0], [0, 254, 255]])
def test_values_that_are_no_labels_are_refused(values):
    with pytest.raises(InputError, match=r"not labels.*--mask-threshold"):
        labels_of(np.array([values]))


def test_a_label_above_the_classes_is_refused():
    with pytest.raises(InputError, match=r"expected labels 0 to 2.*--classes"):
        labels_of(np.array([[0, 1, 3]]), classes=2)


def test_colour_masks_with_equal_channels_are_grey(tmp_path):
    grey = np.array([[0, 255], [255, 255]], np.uint8)
    path = save(np.stack([grey] * 3, -1), tmp_path / "m.png")
    np.testing.assert_array_equal(read_labels(path, image_of((2, 2))), grey > 0)


def test_colours_are_refused_and_averaged_only_for_a_threshold(tmp_path):
    path = save(np.array([[[250, 255, 255], [0, 2, 0]]], np.uint8), tmp_path / "m.png")
    with pytest.raises(InputError, match=r"a mask in colours.*--mask-threshold"):
        read_labels(path, image_of((1, 2)))
    np.testing.assert_array_equal(read_labels(path, image_of((1, 2)), threshold=127), [[1, 0]])


def test_a_colour_palette_holds_labels_as_indices(tmp_path):
    picture = Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("L")
    picture = Image.frombytes("P", (3, 1), picture.tobytes())
    picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    np.testing.assert_array_equal(read_labels(save(picture, tmp_path / "m.png"), image_of((1, 3))), [[0, 1, 2]])


def test_a_grey_palette_shows_its_greys(tmp_path):
    picture = Image.frombytes("P", (2, 1), b"\0\1")
    picture.putpalette([255, 255, 255, 0, 0, 0])
    np.testing.assert_array_equal(read_labels(save(picture, tmp_path / "m.png"), image_of((1, 2))), [[1, 0]])


def test_transparent_masks_are_refused(tmp_path):
    values = np.zeros((2, 2, 4), np.uint8)
    values[0, 0, 3] = 255
    with pytest.raises(InputError, match="transparent parts"):
        read_labels(save(values, tmp_path / "m.png"), image_of((2, 2)))


def test_another_shape_is_refused_naming_the_layout(tmp_path):
    path = save(np.zeros((4, 6), np.uint8), tmp_path / "m.png")
    with pytest.raises(InputError, match=r"different shape.*\(2, 3\) as in image.*\(4, 6\).*--layout"):
        read_labels(path, image_of((2, 3)))


def test_another_affine_is_refused_naming_the_layout(tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)), tmp_path / "m.nii")
    with pytest.raises(InputError, match=r"different affine.*--layout"):
        read_labels(tmp_path / "m.nii", image_of((2, 2, 2), np.diag([-1.0, 1, 1, 1])))


def test_a_known_layout_resizes_to_the_nearest_pixel(tmp_path):
    path = save(np.repeat(np.repeat(np.array([[0, 1], [1, 0]], np.uint8), 4, 0), 3, 1), tmp_path / "m.png")
    np.testing.assert_array_equal(read_labels(path, image_of((2, 2)), resize=True), [[0, 1], [1, 0]])


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 12), st.integers(1, 12))
def test_resizing_agrees_with_torchs_nearest_exact(height, width, new_height, new_width):

    labels = np.random.default_rng(0).integers(0, 9, (height, width), dtype=np.uint8)
    reference = torch.nn.functional.interpolate(
        torch.from_numpy(labels)[None, None].double(), (new_height, new_width), mode="nearest-exact"
    )
    np.testing.assert_array_equal(resize_nearest(labels, (new_height, new_width)), reference[0, 0])


def test_the_masks_error_names_the_mask(tmp_path):
    (tmp_path / "m.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"m\.png: the file is empty"):
        read_labels(tmp_path / "m.png", image_of((2, 2)))


def test_anti_aliased_x_ray_masks_need_a_threshold(data_root):
    mask = next((data_root / "chest_xray" / "masks").glob("MCUCXR*.png"))
    image = read_scan(data_root / "chest_xray" / "CXR_png" / mask.name)
    with pytest.raises(InputError, match="--mask-threshold 127"):
        read_labels(mask, image)
    with Image.open(mask) as picture:
        np.testing.assert_array_equal(read_labels(mask, image, threshold=127), np.asarray(picture) > 127)
