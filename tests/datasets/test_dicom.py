from __future__ import annotations

import shutil

import numpy as np
import pydicom
import pytest
from PIL import Image

from medtap.data import read_scan
from medtap.datasets import find_cases
from medtap.errors import InputError
from medtap.outputs import SegOrigin, write_dicom_seg
from tests.data.dicom_files import save, save_image, save_series
from tests.data.test_dicom import OBLIQUE, VOXELS
from tests.data.test_dicom_masks import on_plane, structures

LABELS = np.zeros(VOXELS.shape, np.uint8)
LABELS[1:4, 1:3, :2], LABELS[4:, 2:, 2] = 1, 2


def names(found):
    return [case.name for case in found.cases]


def seg_of(scan, path, classes=("organ", "tumour")):
    """A SEG of two segments on a scan."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_dicom_seg(LABELS, path, scan.files, SegOrigin(classes))
    return path


def test_a_case_is_a_series_called_after_its_folder_and_number(tmp_path):
    save_series(VOXELS, tmp_path / "a" / "ct", OBLIQUE, SeriesNumber=3)
    save_series(VOXELS, tmp_path / "a" / "mr", OBLIQUE, SeriesNumber=4)
    found = find_cases(tmp_path)
    assert names(found) == ["a/ct/3", "a/mr/4"]
    assert [len(case.files) for case in found.cases] == [4, 4]
    assert read_scan(found.cases[0].sources).pixels.shape == VOXELS.shape


def test_two_series_in_one_folder_are_two_cases(tmp_path):
    for number in (1, 2):
        for file in save_series(VOXELS, tmp_path / "x", OBLIQUE, SeriesNumber=number):
            shutil.move(file, tmp_path / f"{number}-{file.name}")
    assert names(find_cases(tmp_path)) == ["1", "2"]


def test_series_of_one_number_are_told_apart_by_a_file(tmp_path):
    for name in ("a", "b"):
        for file in save_series(VOXELS, tmp_path / "x", OBLIQUE, SeriesNumber=1):
            shutil.move(file, tmp_path / f"{name}{file.name}")
    assert names(find_cases(tmp_path)) == ["1-aim000", "1-bim000"]


def test_a_series_spread_over_folders_is_one_case(tmp_path):
    files = save_series(VOXELS, tmp_path / "a", OBLIQUE)
    (tmp_path / "b").mkdir()
    shutil.move(files[0], tmp_path / "b" / "x")
    found = find_cases(tmp_path)
    assert names(found) == ["7"]
    assert len(found.cases[0].files) == 4


def test_copies_of_a_series_are_cases_of_their_own(tmp_path):
    save_series(VOXELS, tmp_path / "a", OBLIQUE)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert names(find_cases(tmp_path)) == ["a/7", "b/7"]


def test_radiographs_of_one_series_are_cases_of_their_own(tmp_path):
    for name in ("pa", "lat"):
        save_image(np.zeros((3, 4), np.uint8), tmp_path / f"{name}.dcm", "DX", SeriesInstanceUID="1.2.3")
    assert names(find_cases(tmp_path)) == ["7-lat", "7-pa"]


@pytest.mark.parametrize(("files", "name"), [(1, "im000"), (4, "series")])
def test_a_series_without_number_is_called_by_its_file_or_series(files, name, tmp_path):
    save_series(VOXELS[..., :files], tmp_path, OBLIQUE, SeriesNumber=None)
    assert names(find_cases(tmp_path)) == [name]


def test_what_is_no_image_is_skipped_with_its_reason(data_root):
    found = find_cases(data_root / "dicom" / "odd")
    reasons = {path.name: reason for path, reason in found.skipped}
    assert reasons["sr_document.dcm"] == "no image but Comprehensive 3D SR Storage"
    assert reasons["seg_image_ct_binary.dcm"] == "a segmentation"
    assert found.warnings == ("1 images are stored as MONOCHROME1 and are inverted",)


@pytest.mark.parametrize("name", ["DICOMDIR", "index.dcm"])
def test_a_dicomdir_leads_nowhere(name, tmp_path):
    save_image(np.zeros((3, 4), np.uint8), tmp_path / name, SOPClassUID="1.2.840.10008.1.3.10", Rows=None)
    with pytest.raises(InputError, match=r"no image in it.*a DICOMDIR"):
        find_cases(tmp_path)
    save_image(np.zeros((3, 4), np.uint8), tmp_path / "a.dcm")
    assert find_cases(tmp_path).skipped == ((tmp_path / name, "a DICOMDIR"),)


def test_a_damaged_file_is_a_case_that_fails_when_it_is_read(tmp_path):
    save_image(np.zeros((3, 4), np.uint8), tmp_path / "good.dcm", SeriesNumber=None)
    (tmp_path / "bad.dcm").touch()
    assert names(find_cases(tmp_path)) == ["bad", "good"]


def test_other_formats_stand_beside_dicom(lesions):
    images, _ = lesions
    save_image(np.zeros((3, 4), np.uint8), images / "x.dcm")
    assert names(find_cases(images)) == ["7", *(f"case{index}" for index in range(6))]


def test_a_seg_belongs_to_the_series_that_it_refers_to(tmp_path):
    for name in ("a", "b"):
        save_series(VOXELS, tmp_path / "images" / name, OBLIQUE)
        seg_of(read_scan(tmp_path / "images" / name), tmp_path / "masks" / f"of{name}.dcm")
    found = find_cases(tmp_path / "images", tmp_path / "masks")
    assert {case.name: case.mask.name for case in found.cases} == {"a/7": "ofa.dcm", "b/7": "ofb.dcm"}
    assert found.classes == ("organ", "tumour")


def test_one_seg_file_finds_its_series_among_others(tmp_path):
    for name in ("a", "b"):
        save_series(VOXELS, tmp_path / "images" / name, OBLIQUE)
    mask = seg_of(read_scan(tmp_path / "images" / "b"), tmp_path / "masks" / "mask.dcm")
    found = find_cases(tmp_path / "images", mask)
    assert names(found) == ["b/7"]
    assert found.skipped[0][1] == "no mask of its name"


def test_two_segs_of_one_series_are_refused(data_root):
    folder = data_root / "dicom" / "ct_liver_seg"
    with pytest.raises(InputError, match=r"more than one mask for one image.*liver\.dcm, partial_overlaps\.dcm"):
        find_cases(folder / "images", folder / "masks")


def test_a_seg_among_the_images_is_their_mask_and_no_image(tmp_path):
    save_series(VOXELS, tmp_path, OBLIQUE)
    seg_of(read_scan(tmp_path), tmp_path / "mask.dcm")
    assert find_cases(tmp_path).skipped == ((tmp_path / "mask.dcm", "a segmentation"),)
    assert find_cases(tmp_path, tmp_path).cases[0].mask == tmp_path / "mask.dcm"


def test_masks_without_references_pair_where_there_is_one_of_each(tmp_path):
    save_series(VOXELS, tmp_path / "images", OBLIQUE)
    mask = structures(tmp_path / "rt.dcm", {1: [on_plane([(0, 0), (3, 0), (3, 3)], 1)]}, names=("organ",))
    found = find_cases(tmp_path / "images", mask)
    assert found.cases[0].mask == mask
    assert found.classes == ("organ",)


def test_structures_name_the_classes_that_cross_the_images(data_root):
    folder = data_root / "dicom" / "ct_rtstruct"
    assert find_cases(folder / "images", folder / "masks").classes == ("BODY",)


def test_png_masks_go_by_the_name_of_a_radiographs_file(tmp_path, disc):
    save_image(np.zeros((8, 9), np.uint8), tmp_path / "images" / "x.dcm", "DX")
    (tmp_path / "masks").mkdir()
    Image.fromarray(disc(8, 9)).save(tmp_path / "masks" / "x_mask.png")
    found = find_cases(tmp_path / "images", tmp_path / "masks")
    assert (found.cases[0].name, found.cases[0].mask.name, found.classes) == ("7", "x_mask.png", None)


def test_overlapping_segments_are_told(tmp_path):
    save_series(VOXELS, tmp_path / "images", OBLIQUE)
    mask = seg_of(read_scan(tmp_path / "images"), tmp_path / "mask.dcm")
    dataset = pydicom.dcmread(mask)
    dataset.SegmentsOverlap = "YES"
    save(dataset, mask)
    assert "overlap: the one of the higher number counts" in find_cases(tmp_path / "images", mask).warnings[0]


def test_a_csv_may_name_the_folder_of_a_series(tmp_path):
    save_series(VOXELS, tmp_path / "scan", OBLIQUE)
    seg_of(read_scan(tmp_path / "scan"), tmp_path / "mask.dcm")
    (tmp_path / "list.csv").write_text("image,mask\nscan,mask.dcm\n")
    case = find_cases(tmp_path / "list.csv").cases[0]
    assert (case.name, len(case.files), case.mask.name) == ("scan", 4, "mask.dcm")


def test_one_image_and_one_mask_belong_together_whatever_their_names(tmp_path, disc):
    image = save_image(np.zeros((8, 9), np.uint8), tmp_path / "x.dcm", "DX")
    Image.fromarray(disc(8, 9)).save(tmp_path / "other.png")
    assert find_cases(image, tmp_path / "other.png").cases[0].mask == tmp_path / "other.png"
