from __future__ import annotations

import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.transforms import LoadImaged

from medtap.data import DicomReader, image_transforms, read_dicom, read_scan
from medtap.data.scan import FILES, INVERTED, WINDOW
from medtap.errors import InputError
from tests.data.dicom_files import image_dataset, save, save_frames, save_image, save_series, slice_attributes

OBLIQUE = np.array([[0.9, 0.1, 0.0, -20], [-0.1, 0.9, 0.0, 5], [0.0, 0.0, 2.5, -40], [0, 0, 0, 1.0]])
VOXELS = np.random.default_rng(0).integers(0, 1000, (6, 5, 4), dtype=np.int16)


def inverse_of(scan, point):
    """The voxel index of a point in RAS mm."""
    return np.linalg.inv(scan.geometry.affine) @ [*point, 1.0]


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, -1)])
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
def test_a_series_lies_where_its_volume_lay(flips, axes, tmp_path):
    turn = np.eye(4)
    turn[:3, :3] = np.eye(3)[list(axes)] * flips
    affine = turn @ OBLIQUE
    save_series(VOXELS, tmp_path, affine)
    scan = read_scan(tmp_path)
    assert scan.pixels.shape == VOXELS.shape
    for index in [(0, 0, 0), (5, 2, 1), (3, 4, 3)]:
        found = np.rint(inverse_of(scan, (affine @ [*index, 1])[:3])[:3]).astype(int)
        assert scan.pixels[tuple(found)] == VOXELS[index]


def test_slices_are_sorted_by_position_and_listed_in_that_order(tmp_path):
    save_series(VOXELS, tmp_path, OBLIQUE)
    scan = read_scan(tmp_path)
    positions = [pydicom.dcmread(file).ImagePositionPatient[2] for file in scan.files]
    assert positions == sorted(positions)
    assert scan.geometry.spacing_mm[2] == pytest.approx(2.5)


def test_order_of_the_files_does_not_matter(tmp_path):
    files = save_series(VOXELS, tmp_path, OBLIQUE)
    np.testing.assert_array_equal(read_scan(files).pixels, read_scan(files[::-1]).pixels)


def test_one_slice_is_a_volume_of_one_plane(tmp_path):
    path = save_series(VOXELS, tmp_path, OBLIQUE)[0]
    assert read_scan(path).pixels.shape == (6, 5, 1)


def test_a_radiograph_is_an_image_with_the_spacing_of_its_detector(tmp_path):
    pixels = np.arange(12, dtype=np.uint16).reshape(3, 4)
    scan = read_scan(save_image(pixels, tmp_path / "a.dcm", "DX", ImagerPixelSpacing=[0.2, 0.3]))
    np.testing.assert_array_equal(scan.pixels, pixels)
    assert scan.geometry.spacing_mm == (0.2, 0.3)
    assert not scan.is_volume


@pytest.mark.parametrize("name", ["a.dcm", "a.DCM", "a.ima", "IM0001", "1.2.840.113619"])
def test_files_are_known_by_their_content(name, tmp_path):
    assert read_scan(save_image(np.zeros((3, 4), np.uint8), tmp_path / name)).pixels.shape == (3, 4)


def test_a_missing_slice_is_named(tmp_path):
    files = read_scan(save_series(VOXELS.repeat(2, axis=2), tmp_path, OBLIQUE)).files
    with pytest.raises(
        InputError, match=rf"slices are missing.*2.5 mm.*5 mm between {files[2].name} and {files[4].name}"
    ):
        read_scan([file for file in files if file != files[3]])


def test_two_slices_at_one_position_are_named(tmp_path):
    files = save_series(VOXELS, tmp_path, OBLIQUE)
    copy = pydicom.dcmread(files[0])
    copy.SOPInstanceUID = "1.2.3.4"
    save(copy, tmp_path / "copy.dcm")
    with pytest.raises(InputError, match=r"two slices at one position.*im000 and copy\.dcm|copy\.dcm and im000"):
        read_scan(tmp_path)


def test_uneven_distances_are_refused(tmp_path):
    files = read_scan(save_series(VOXELS, tmp_path, OBLIQUE)).files
    moved = pydicom.dcmread(files[1])
    moved.ImagePositionPatient = [*moved.ImagePositionPatient[:2], moved.ImagePositionPatient[2] + 1]
    save(moved, files[1])
    with pytest.raises(InputError, match="uneven distances"):
        read_scan(tmp_path)


def test_mixed_series_are_refused_where_one_is_expected(tmp_path):
    save_series(VOXELS, tmp_path / "a", OBLIQUE)
    save_series(VOXELS, tmp_path / "b", OBLIQUE)
    with pytest.raises(InputError, match=r"mixed series.*im00. and im00. of different ones"):
        read_scan(tmp_path)


def test_slices_of_another_orientation_are_refused(tmp_path):
    files = save_series(VOXELS, tmp_path, OBLIQUE)
    turned = pydicom.dcmread(files[0])
    turned.ImageOrientationPatient = [0, 1, 0, 0, 0, 1]
    save(turned, files[0])
    with pytest.raises(InputError, match="slices of different orientation"):
        read_scan(tmp_path)


def test_slices_of_another_size_are_refused(tmp_path):
    files = save_series(VOXELS, tmp_path, OBLIQUE)
    small = pydicom.dcmread(files[0])
    small.PixelSpacing = [3, 3]
    save(small, files[0])
    with pytest.raises(InputError, match="slices of different size"):
        read_scan(tmp_path)


def test_an_orientation_that_cannot_be_is_refused(tmp_path):
    attributes = slice_attributes(np.eye(4), 0) | {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}
    path = save_image(np.zeros((3, 4), np.int16), tmp_path / "a.dcm", "CT", **attributes)
    with pytest.raises(InputError, match="impossible position, orientation or spacing"):
        read_scan(path)


def test_several_frames_need_an_explicit_one(tmp_path):
    frames = np.random.default_rng(1).integers(0, 255, (3, 4, 6), dtype=np.uint8)
    path = save_image(frames[0], tmp_path / "a.dcm", "US", NumberOfFrames=3, PixelData=frames.tobytes())
    with pytest.raises(InputError, match=r"several frames without positions.*3 frames"):
        read_scan(path)
    np.testing.assert_array_equal(read_dicom(path, frame=2).pixels, frames[1])
    with pytest.raises(InputError, match=r"no such frame.*1 to 3"):
        read_dicom(path, frame=4)


def test_several_radiographs_are_no_volume(tmp_path):
    same = {"SeriesInstanceUID": "1.2.3"}
    paths = [save_image(np.zeros((3, 4), np.uint8), tmp_path / name, "DX", **same) for name in ("a.dcm", "b.dcm")]
    with pytest.raises(InputError, match="several images without positions"):
        read_scan(paths)


def test_a_multi_frame_object_is_sorted_by_its_positions(tmp_path):
    save_series(VOXELS, tmp_path / "series", OBLIQUE)
    series, frames = read_scan(tmp_path / "series"), read_scan(save_frames(VOXELS, tmp_path / "a.dcm", OBLIQUE))
    np.testing.assert_array_equal(frames.pixels, series.pixels)
    np.testing.assert_allclose(frames.geometry.affine, series.geometry.affine)


def test_hounsfield_units_and_one_window_for_all_slices(tmp_path):
    windows = iter([40, 50, 60, 50])
    files = save_series(VOXELS, tmp_path, OBLIQUE, "CT", RescaleSlope=2, RescaleIntercept=-1024)
    for file in files:
        dataset = pydicom.dcmread(file)
        dataset.WindowCenter, dataset.WindowWidth = next(windows), 401
        save(dataset, file)
    scan = read_scan(tmp_path)
    assert sorted(np.unique(scan.pixels)) == sorted(np.unique(VOXELS.astype(int) * 2 - 1024))
    assert scan.window == (50 - 0.5 - 200, 50 - 0.5 + 200)


def test_monochrome1_and_its_twin_are_one_image(tmp_path):
    pixels = np.random.default_rng(2).integers(0, 4096, (8, 9), dtype=np.uint16)
    stored = {"BitsStored": 12, "HighBit": 11, "RescaleSlope": 1.5, "RescaleIntercept": -7}
    first = save_image(4095 - pixels, tmp_path / "1.dcm", "CR", PhotometricInterpretation="MONOCHROME1", **stored)
    second = save_image(pixels, tmp_path / "2.dcm", "CR", **stored)
    one, two = read_scan(first), read_scan(second)
    assert (one.inverted, two.inverted) == (True, False)
    np.testing.assert_allclose(one.pixels, two.pixels)
    torch.testing.assert_close(
        image_transforms()({"image": first})["image"], image_transforms()({"image": second})["image"]
    )


def test_the_window_of_monochrome1_is_turned_with_it(tmp_path):
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    shown = {"WindowCenter": 60.5, "WindowWidth": 101}
    path = save_image(pixels, tmp_path / "1.dcm", "DX", PhotometricInterpretation="MONOCHROME1", **shown)
    seen = image_transforms()({"image": path})["image"][0]
    expected = 1 - ((pixels.astype(float) - 10) / 100).clip(0, 1)
    np.testing.assert_allclose(seen, expected, atol=1e-6)


def test_a_window_that_fits_another_scan_is_not_used(tmp_path):
    pixels = np.arange(100, dtype=np.int16).reshape(10, 10)
    path = save_image(pixels, tmp_path / "a.dcm", "DX", WindowCenter=2000, WindowWidth=4000)
    seen = image_transforms()({"image": path})["image"]
    assert seen.min() == 0
    assert seen.max() == 1


def test_mr_goes_by_percentiles(tmp_path):
    assert read_scan(save_series(VOXELS, tmp_path, OBLIQUE, "MR", WindowCenter=500, WindowWidth=1000)).window is None


def test_the_reader_speaks_to_monai(tmp_path):
    save_series(VOXELS, tmp_path, OBLIQUE, "CT", WindowCenter=500, WindowWidth=1000)
    files = [str(file) for file in sorted(tmp_path.iterdir())]
    loaded = LoadImaged("image", reader=DicomReader(), ensure_channel_first=True)({"image": files})["image"]
    assert loaded.shape == (1, *VOXELS.shape)
    np.testing.assert_allclose(loaded.affine, read_scan(files).geometry.affine)
    assert len(loaded.meta[FILES]) == 4
    assert loaded.meta[WINDOW].tolist() == [0.0, 999.0]
    assert not loaded.meta[INVERTED]
    assert "Doe" not in str(loaded.meta)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_refused(bad, tmp_path):
    pixels = np.zeros((3, 4), np.float32)
    pixels[1, 1] = bad
    dataset = image_dataset(pixels.view(np.uint32), "OT", PixelData=None, BitsStored=None, HighBit=None,
                            PixelRepresentation=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.30")  # fmt: skip
    dataset.FloatPixelData = pixels.tobytes()
    with pytest.raises(InputError, match="NaN or infinite"):
        read_scan(save(dataset, tmp_path / "a.dcm"))


def test_a_folder_without_dicom_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(InputError, match="no DICOM image in the folder"):
        read_scan(tmp_path)


def test_real_series_equal_nibabels_view_of_space(data_root):
    scan = read_scan(data_root / "dicom" / "mr_series")
    assert scan.pixels.shape == (35, 51, 32)
    assert nib.aff2axcodes(scan.geometry.affine) == ("L", "P", "S")


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(4)))
def test_no_order_of_files_changes_the_volume(order, tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    files = save_series(VOXELS, folder, OBLIQUE)
    np.testing.assert_array_equal(read_scan([files[index] for index in order]).pixels, read_scan(folder).pixels)
