from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest
from pydicom.uid import ImplicitVRLittleEndian

from medtap.data import read_scan
from medtap.data.dicom_file import Kind, is_dicom, kind_of, read_dataset, reading, silence, told_kind, visible_files
from medtap.errors import InputError
from tests.data.dicom_files import PATIENT, image_dataset, save, save_image

PIXELS = np.arange(24, dtype=np.uint8).reshape(4, 6)


def headless(path, implicit=True):
    """The same image without preamble and file meta, as old archives hold it."""
    dataset = image_dataset(PIXELS)
    del dataset.file_meta
    dataset.save_as(path, implicit_vr=implicit, little_endian=True)
    return path


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("name", ["a.dcm", "IM0001"])
def test_a_dataset_without_preamble_is_read(implicit, name, tmp_path):
    np.testing.assert_array_equal(read_scan(headless(tmp_path / name, implicit)).pixels, PIXELS)


def test_no_transfer_syntax_is_refused(tmp_path):
    dataset = image_dataset(PIXELS)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    del dataset.file_meta.TransferSyntaxUID
    dataset.save_as(tmp_path / "a.dcm", implicit_vr=True, little_endian=True)
    with pytest.raises(InputError, match="no transfer syntax"):
        read_scan(tmp_path / "a.dcm")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "a.dcm").touch()
    with pytest.raises(InputError, match="the file is empty"):
        read_scan(tmp_path / "a.dcm")


@pytest.mark.parametrize("keep", [140, 500, 0.95])
def test_a_truncated_file_is_refused(keep, tmp_path):
    path = save_image(np.zeros((64, 64), np.uint16), tmp_path / "a.dcm")
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(InputError, match=r"truncated or damaged|no image|no pixels in it|no transfer syntax"):
        read_scan(path)


def test_another_kind_of_file_is_refused(tmp_path):
    (tmp_path / "a.dcm").write_bytes(b"this is no DICOM file at all, but it is long enough to be one. " * 9)
    with pytest.raises(InputError, match=r"not a DICOM file|truncated or damaged|found no image"):
        read_scan(tmp_path / "a.dcm")


def test_no_message_holds_a_value_of_the_file(tmp_path, caplog, capfd):
    dataset = image_dataset(np.zeros((64, 64), np.uint16), StudyDate="not a date Doe", PatientID="Doe" * 40)
    path = save(dataset, tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[:-2000])
    caplog.clear()
    capfd.readouterr()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(InputError) as error:
            read_scan(path)
    told = str(error.value) + caplog.text + "".join(capfd.readouterr()) + "".join(str(one.message) for one in caught)
    assert "Doe" not in told
    assert PATIENT not in told


def test_libraries_speak_again_after_the_silence():
    with silence():
        assert logging.getLogger("pydicom").disabled
    assert not logging.getLogger("pydicom").disabled


def test_errors_of_our_own_pass_as_they_are(tmp_path):
    with pytest.raises(InputError, match=r"^mine$"), reading(tmp_path):
        raise InputError("mine")


@pytest.mark.parametrize(
    ("stored", "kind", "told"),
    [
        ("1.2.840.10008.5.1.4.1.1.66.4", Kind.SEGMENTATION, "a segmentation"),
        ("1.2.840.10008.5.1.4.1.1.66.7", Kind.SEGMENTATION, "a segmentation"),
        ("1.2.840.10008.5.1.4.1.1.481.3", Kind.STRUCTURES, "a radiotherapy structure set"),
        ("1.2.840.10008.5.1.4.1.1.481.2", Kind.OTHER, "a radiotherapy dose"),
        ("1.2.840.10008.1.3.10", Kind.OTHER, "a DICOMDIR"),
        ("1.2.840.10008.5.1.4.1.1.2", Kind.IMAGE, "an image"),
    ],
)
def test_kinds_are_told_by_class(stored, kind, told):
    dataset = image_dataset(PIXELS, SOPClassUID=stored)
    assert kind_of(dataset) is kind
    assert told_kind(dataset) == told


def test_what_has_no_rows_is_no_image_but_its_class():
    report = image_dataset(PIXELS, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33", Rows=None)
    assert told_kind(report) == "no image but Comprehensive SR Storage"


def test_a_report_is_not_read_as_an_image(tmp_path):
    path = save_image(PIXELS, tmp_path / "a.dcm", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33", Rows=None)
    with pytest.raises(InputError, match=r"not an image.*Comprehensive SR Storage"):
        read_scan(path)


def test_text_and_missing_files_are_not_dicom(tmp_path):
    (tmp_path / "README").write_text("x" * 500)
    assert not is_dicom(tmp_path / "README")
    assert not is_dicom(tmp_path / "missing")


def test_hidden_files_are_not_listed(tmp_path):
    for name in ("b", ".hidden", "._b", "a"):
        (tmp_path / name).touch()
    assert [path.name for path in visible_files(tmp_path)] == ["a", "b"]


def test_the_syntax_that_is_seen_is_given(tmp_path):
    dataset = read_dataset(headless(tmp_path / "a.dcm"), pixels=False)
    assert dataset.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
