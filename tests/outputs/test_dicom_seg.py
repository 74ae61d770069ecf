from __future__ import annotations

import shutil
import subprocess

import highdicom
import numpy as np
import pydicom
import pytest

from medtap.data import read_labels, read_scan
from medtap.errors import InputError, OutputError
from medtap.outputs import SegOrigin, write_dicom_seg
from medtap.outputs.dicom_repair import repair_warning, repaired
from medtap.outputs.segment_codes import segment_codes
from tests.data.dicom_files import image_dataset, save, save_frames, save_image, save_series
from tests.data.test_dicom import OBLIQUE, VOXELS

ORIGIN = SegOrigin(("liver", "my own thing"), "ab" * 32, "lora")
LABELS = np.zeros(VOXELS.shape, np.uint8)
LABELS[1:4, 1:3, :2], LABELS[4:, 2:, 2] = 1, 2


def errors_of(path):
    """What dciodvfy finds wrong."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy of Debian's dicom3tools is not installed")
    told = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False).stderr
    return [line for line in told.splitlines() if line.startswith("Error")]


@pytest.mark.parametrize(
    "name", ["ct_liver_seg/images", "mr_series", "ct_rtstruct/images", "odd/ct_image.dcm", "odd/dx_image.dcm"]
)
def test_the_standards_validator_finds_no_error(name, data_root, tmp_path):
    scan = read_scan(data_root / "dicom" / name)
    labels = np.zeros(scan.geometry.shape, np.uint8)
    labels[3:9, 4:20] = 1
    write_dicom_seg(labels, tmp_path / "a.seg.dcm", scan.files, ORIGIN)
    assert errors_of(tmp_path / "a.seg.dcm") == []
    np.testing.assert_array_equal(read_labels(tmp_path / "a.seg.dcm", scan), labels)


def test_highdicom_reads_it_onto_the_source_slices(tmp_path):
    save_series(VOXELS, tmp_path / "images", OBLIQUE)
    files = read_scan(tmp_path / "images").files
    write_dicom_seg(LABELS, tmp_path / "a.seg.dcm", files, ORIGIN)
    seg = highdicom.seg.segread(tmp_path / "a.seg.dcm")
    uids = [pydicom.dcmread(file).SOPInstanceUID for file in files]
    found = seg.get_pixels_by_source_instance(uids, combine_segments=True, assert_missing_frames_are_empty=True)
    np.testing.assert_array_equal(found, LABELS.transpose(2, 1, 0))


def test_the_order_of_the_sources_does_not_matter(tmp_path):
    files = save_series(VOXELS, tmp_path / "images", OBLIQUE)
    for name, given in (("a", files), ("b", files[::-1])):
        write_dicom_seg(LABELS, tmp_path / name, given, ORIGIN)
    scan = read_scan(tmp_path / "images")
    np.testing.assert_array_equal(read_labels(tmp_path / "a", scan), read_labels(tmp_path / "b", scan))


def test_a_multi_frame_source_takes_planes_at_its_own_frames(tmp_path):
    path = save_frames(VOXELS, tmp_path / "a.dcm", OBLIQUE)
    dataset = pydicom.dcmread(path)
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"
    scan = read_scan(save(dataset, path))
    write_dicom_seg(LABELS, tmp_path / "a.seg.dcm", scan.files, ORIGIN)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.seg.dcm", scan), LABELS)


@pytest.mark.parametrize("shape", [(8, 9), (8, 9, 3)])
def test_an_image_without_position_gets_one_too(shape, tmp_path):
    scan = read_scan(save_image(np.zeros(shape, np.uint8), tmp_path / "a.dcm"))
    labels = np.zeros((8, 9), np.uint8)
    labels[1:3] = 2
    write_dicom_seg(labels, tmp_path / "a.seg.dcm", scan.files, ORIGIN)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.seg.dcm", scan, classes=2), labels)


def test_an_empty_mask_is_a_seg_too(tmp_path):
    scan = read_scan(save_series(VOXELS, tmp_path / "images", OBLIQUE))
    write_dicom_seg(LABELS * 0, tmp_path / "a.seg.dcm", scan.files, ORIGIN)
    assert not read_labels(tmp_path / "a.seg.dcm", scan).any()
    assert errors_of(tmp_path / "a.seg.dcm") == []


def test_the_same_input_gives_the_same_bytes_and_another_adapter_other_uids(tmp_path):
    files = save_series(VOXELS, tmp_path / "images", OBLIQUE)
    for name in ("a", "b"):
        write_dicom_seg(LABELS, tmp_path / name, files, ORIGIN)
    write_dicom_seg(LABELS, tmp_path / "c", files, SegOrigin(ORIGIN.classes, "cd" * 32, "lora"))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    first, other = pydicom.dcmread(tmp_path / "a"), pydicom.dcmread(tmp_path / "c")
    assert first.SOPInstanceUID != other.SOPInstanceUID
    assert first.SeriesInstanceUID != other.SeriesInstanceUID


def test_it_tells_what_made_it_and_of_what(tmp_path):
    files = save_series(VOXELS, tmp_path / "images", OBLIQUE)
    write_dicom_seg(LABELS, tmp_path / "a", files, ORIGIN)
    seg, source = pydicom.dcmread(tmp_path / "a"), pydicom.dcmread(files[0])
    algorithm = seg.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.AlgorithmName == "medtap"
    assert "ab" * 32 in algorithm.AlgorithmParameters
    assert [item.SegmentLabel for item in seg.SegmentSequence] == ["liver", "my own thing"]
    assert seg.StudyInstanceUID == source.StudyInstanceUID
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == source.SeriesInstanceUID
    assert len(seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == 4


@pytest.mark.parametrize("keyword", ["PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_identifiers_are_not_made_up(keyword, tmp_path):
    path = save_image(np.zeros((8, 9), np.uint8), tmp_path / "a.dcm", **{keyword: None})
    with pytest.raises(InputError, match=f"a DICOM SEG cannot be written for it; expected {keyword}") as error:
        write_dicom_seg(np.zeros((8, 9), np.uint8), tmp_path / "a.seg.dcm", [path], ORIGIN)
    assert "Secret" not in str(error.value)
    assert not (tmp_path / "a.seg.dcm").exists()


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_slices_without_frame_of_reference_are_refused(modality, tmp_path):
    files = save_series(VOXELS, tmp_path / "images", OBLIQUE, modality, FrameOfReferenceUID=None)
    with pytest.raises(InputError, match="a DICOM SEG cannot be written for it; expected FrameOfReferenceUID"):
        write_dicom_seg(LABELS, tmp_path / "a.seg.dcm", files, ORIGIN)


def test_an_empty_patient_id_is_as_the_standard_allows(tmp_path):
    path = save_image(np.zeros((8, 9), np.uint8), tmp_path / "a.dcm", PatientID="")
    write_dicom_seg(np.zeros((8, 9), np.uint8), tmp_path / "a.seg.dcm", [path], ORIGIN)
    assert pydicom.dcmread(tmp_path / "a.seg.dcm").PatientID == ""


def test_labels_of_another_grid_are_refused(tmp_path):
    files = save_series(VOXELS, tmp_path / "images", OBLIQUE)
    with pytest.raises(OutputError, match=r"not on its source's grid; expected \(4, 5, 6\); found \(3, 5, 6\)"):
        write_dicom_seg(LABELS[..., :3], tmp_path / "a.seg.dcm", files, ORIGIN)


MISSING = ["PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "StudyID", "PatientName"]


def test_what_may_be_empty_is_repaired_and_told_without_values(tmp_path):
    path = save_image(np.zeros((8, 9), np.uint8), tmp_path / "a.dcm", **dict.fromkeys(MISSING))
    before = path.read_bytes()
    changed = write_dicom_seg(np.ones((8, 9), np.uint8), tmp_path / "a.seg.dcm", [path], ORIGIN)
    assert set(changed) >= set(MISSING)
    assert path.read_bytes() == before
    assert errors_of(tmp_path / "a.seg.dcm") == []


@pytest.mark.parametrize("characters", ["", "ISO_IR 999"])
def test_an_unusable_character_set_is_repaired_on_a_copy(characters):
    dataset = image_dataset(np.zeros((2, 2), np.uint8))
    dataset.SpecificCharacterSet = characters
    copy, changed = repaired(dataset)
    assert (copy.SpecificCharacterSet, changed) == ("ISO_IR 192", ["SpecificCharacterSet", "PatientOrientation"])
    assert dataset.SpecificCharacterSet == characters


def test_warnings_name_keywords_alone():
    assert repair_warning("a", []) == []
    assert "a: PatientSex missing" in repair_warning("a", ["PatientSex"])[0]


def test_usual_names_have_codes_and_others_their_own():
    category, kind = segment_codes("Liver")
    assert (category.value, kind.value, kind.scheme_designator) == ("123037004", "10200004", "SCT")
    assert segment_codes("tumor")[0].value == "49755003"
    own = segment_codes("my own thing")[1]
    assert (own.meaning, own.scheme_designator, len(own.value)) == ("my own thing", "99MEDTAP", 12)
