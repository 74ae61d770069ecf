from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import DataLoader, Dataset, MetaTensor
from monai.transforms import Compose, Invertd, LoadImaged
from PIL import Image

from medtap.data import (
    AXES,
    Geometry,
    ImageFileReader,
    NiftiReader,
    ScanReader,
    ThreeChannelsd,
    ToPlanesd,
    ToUnitRanged,
    image_transforms,
    plane_transforms,
    planes_of,
    read_scan,
    scan_tensor,
)
from medtap.data.transforms import unit_range
from medtap.errors import InputError, OptionError, medtap_cause
from tests.data.test_planes import affines


@settings(deadline=None, max_examples=60)
@given(affines(), st.sampled_from(list(AXES)))
def test_invertd_gives_back_the_stored_grid_for_every_orientation(affine, axis):
    voxels = np.arange(60, dtype=np.float32).reshape(1, 3, 4, 5)
    turn = Compose([ToPlanesd("image", axis)])
    data = turn({"image": MetaTensor(voxels, affine=affine)})
    np.testing.assert_array_equal(data["image"][0], planes_of(voxels[0], Geometry(affine, (3, 4, 5)), axis))
    data["pred"] = data["image"].clone()
    back = Invertd("pred", turn, "image", nearest_interp=False)(data)["pred"]
    np.testing.assert_array_equal(back, voxels)
    np.testing.assert_allclose(back.affine, affine, atol=1e-9)


def test_a_prediction_of_a_file_comes_back_to_its_grid(volumes):
    path = volumes[0] / "scan0.nii.gz"
    transform = image_transforms("sagittal")
    data = transform({"image": path})
    data["pred"] = (data["image"] > 0.5).to(torch.uint8)
    back = Invertd("pred", transform, "image", nearest_interp=True)(data)["pred"]
    expected = unit_range(torch.from_numpy(read_scan(path).pixels)) > 0.5
    np.testing.assert_array_equal(back[0], expected)
    np.testing.assert_allclose(back.affine, nib.load(path).affine)


def test_images_pass_the_planes_untouched():
    image = MetaTensor(torch.rand(3, 4, 5))
    turn = ToPlanesd("image")
    assert turn({"image": image})["image"] is image
    assert turn.inverse({"image": image})["image"] is image


def test_eight_bit_images_are_divided_by_255(lesions):
    path = lesions[0] / "case0.png"
    image = image_transforms()({"image": path})["image"]
    with Image.open(path) as picture:
        np.testing.assert_allclose(image, np.moveaxis(np.asarray(picture) / 255, -1, 0), atol=1e-7)
    assert image.dtype == torch.float32


def test_sixteen_bit_images_are_scaled_by_their_own_percentiles(tmp_path):
    pixels = np.random.default_rng(0).integers(100, 3000, (20, 30)).astype(np.uint16)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    low, high = np.percentile(pixels, (0.5, 99.5))
    image = image_transforms()({"image": tmp_path / "a.png"})["image"]
    assert image.shape == (3, 20, 30)
    np.testing.assert_allclose(image[1], np.clip((pixels - low) / (high - low), 0, 1), atol=1e-6)


def test_a_constant_scan_becomes_zeros():
    assert not unit_range(torch.full((1, 3, 3), 7.0)).any()


def test_a_nearly_empty_scan_is_scaled_by_its_extremes():
    values = torch.zeros(1, 100, 100)
    values[0, 3, 4] = 9
    assert unit_range(values).max() == 1
    assert unit_range(values).sum() == 1


@given(st.floats(-1e6, 1e6), st.floats(0.01, 1e4))
def test_offset_and_scale_of_a_scan_do_not_matter(offset, scale):
    values = torch.linspace(0, 1, 400, dtype=torch.float64).reshape(1, 20, 20)
    torch.testing.assert_close(unit_range(values * scale + offset), unit_range(values), atol=1e-4, rtol=0)


def test_large_integers_close_together_keep_their_contrast(tmp_path):
    voxels = (2**30 + np.arange(125).reshape(5, 5, 5)).astype(np.int32)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "a.nii")
    assert len(image_transforms()({"image": tmp_path / "a.nii"})["image"].unique()) > 100


def test_uint8_tensors_without_meta_data_are_eight_bit():
    out = ToUnitRanged("image")({"image": torch.full((1, 2, 2), 51, dtype=torch.uint8)})["image"]
    torch.testing.assert_close(out, torch.full((1, 2, 2), 0.2))


def test_grey_becomes_three_channels_and_volumes_stay():
    three = ThreeChannelsd("image")
    assert three({"image": torch.rand(1, 4, 5)})["image"].shape == (3, 4, 5)
    assert three({"image": torch.rand(1, 4, 5, 6)})["image"].shape == (1, 4, 5, 6)


def test_two_channels_are_refused():
    with pytest.raises(InputError, match=r"other channels.*\[2, 4, 5\]"):
        ThreeChannelsd("image")({"image": torch.rand(2, 4, 5)})


def test_an_unknown_axis_is_refused_at_once():
    with pytest.raises(OptionError, match="unknown axis"):
        ToPlanesd("image", "axle")


def test_the_path_from_a_scan_is_that_from_its_file(volumes):
    path = volumes[0] / "scan1.nii.gz"
    made = plane_transforms("coronal")({"image": scan_tensor(read_scan(path))})["image"]
    np.testing.assert_array_equal(made, image_transforms("coronal")({"image": path})["image"])


@pytest.mark.parametrize(
    ("reader", "name"), [(ScanReader, "a.nii"), (NiftiReader, "a.nii"), (ImageFileReader, "a.png")]
)
def test_what_a_reader_refuses_is_not_read_by_monais_own(reader, name, tmp_path):
    if name == "a.nii":
        nib.save(nib.Nifti1Image(np.full((2, 2, 2), np.nan, np.float32), np.eye(4)), tmp_path / name)
    else:
        frames = [Image.fromarray(np.full((4, 4), value, np.uint8)) for value in (0, 90)]
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    load = Compose([LoadImaged("image", reader=reader(), ensure_channel_first=True)])
    with pytest.raises(RuntimeError, match="applying transform") as caught:
        load({"image": tmp_path / name})
    cause = medtap_cause(caught.value)
    assert isinstance(cause, InputError)
    assert cause.file == tmp_path / name


def test_the_cause_is_found_from_a_format_without_a_reader(tmp_path):
    (tmp_path / "a.xyz").write_bytes(b"x")
    with pytest.raises(RuntimeError) as caught:
        image_transforms()({"image": tmp_path / "a.xyz"})
    assert "no reader for this kind of file" in str(medtap_cause(caught.value))


def test_images_go_through_a_data_loader(lesions):
    files = [{"image": path} for path in sorted(lesions[0].iterdir())]
    batch = next(iter(DataLoader(Dataset(files, image_transforms()), batch_size=3)))
    assert batch["image"].shape == (3, 3, 40, 60)
