"""DICOM from end to end: what is predicted lies where the NIfTI prediction lies, and nothing of the patient is told."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch

from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapters import Lora
from medtap.data import image_transforms, read_labels, read_scan
from medtap.datasets import find_cases
from medtap.episodes import draw_support
from medtap.inference import PlaneInferer
from medtap.outputs import RunFolder, SegOrigin, write_dicom_seg
from medtap.workflows.predict import segment_cases
from medtap.workflows.stream import CaseStream, case_items
from medtap.workflows.transforms import SaveMaskd
from tests import tiny
from tests.data.dicom_files import save_image, save_series

AFFINE = np.array([[1.1, 0.1, 0, -20], [-0.11, 1.0, 0, 5], [0, 0, 2.5, -40], [0, 0, 0, 1.0]])
AFFINE[:3, :3] = np.linalg.qr(AFFINE[:3, :3])[0] * [1.2, 1.0, 2.5]
SHAPE = (20, 24, 8)


@pytest.fixture(scope="module")
def adapted():
    """A tiny network adapted to discs of two classes."""
    return take_a_peek(
        tiny.tiny_network(), tiny.support_set(2, classes=2), Lora(), TapOptions(passes=1), torch.device("cpu")
    )


def run(adapted, images, out, clean="none"):
    """Segment a folder into another; the failures and the warnings."""
    preprocessing = image_transforms()
    with RunFolder(out, inputs=[images], options={}) as folder:
        save = SaveMaskd("pred", folder, adapted.record.classes, adapter_sha256="ab" * 32, method="lora")
        stream = CaseStream(case_items(find_cases(images)), preprocessing)
        inferer = PlaneInferer(tiny.SIZE, 4)
        for item in segment_cases(adapted, stream, inferer, preprocessing, torch.device("cpu"), clean):
            stream.attempt(save, item)
    return stream.failures, save.warnings


def points_of(labels, affine, label):
    """The places in RAS mm of the voxels of a label, in an order of their own."""
    voxels = np.argwhere(labels == label)
    points = np.round(nib.affines.apply_affine(affine, voxels), 2) + 0.0
    return {tuple(point) for point in points}


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, -1), (1, -1, 1)])
@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 0), (0, 2, 1)])
def test_a_series_gets_the_mask_of_its_volume_in_space(axes, flips, adapted, tmp_path):
    turn = np.eye(4)
    turn[:3, :3] = np.eye(3)[list(axes)] * flips
    affine = turn @ AFFINE
    voxels = np.random.default_rng(5).normal(100, 30, SHAPE).astype(np.int16)
    voxels[5:14, 6:18, 2:6] += 200
    (tmp_path / "nifti").mkdir()
    nib.save(nib.Nifti1Image(voxels, affine), tmp_path / "nifti" / "a.nii.gz")
    save_series(voxels, tmp_path / "dicom", affine)
    assert run(adapted, tmp_path / "nifti", tmp_path / "n") == ([], [])
    assert run(adapted, tmp_path / "dicom", tmp_path / "d")[0] == []
    volume, series = read_scan(tmp_path / "n" / "a.nii.gz"), read_scan(tmp_path / "dicom")
    found = read_labels(tmp_path / "d" / "7.seg.dcm", series, classes=2)
    for label in (1, 2):
        expected = points_of(volume.pixels, volume.geometry.affine, label)
        assert points_of(found, series.geometry.affine, label) == expected
    assert volume.pixels.any()


def test_monochrome1_and_its_twin_get_the_same_mask(adapted, tmp_path):
    pixels = np.random.default_rng(6).integers(0, 1024, (40, 50), dtype=np.uint16)
    pixels[10:30, 10:30] += 2500
    stored = {"BitsStored": 12, "HighBit": 11}
    save_image(
        4095 - pixels,
        tmp_path / "in" / "1.dcm",
        "DX",
        PhotometricInterpretation="MONOCHROME1",
        SeriesNumber=1,
        **stored,
    )
    save_image(pixels, tmp_path / "in" / "2.dcm", "DX", SeriesNumber=2, **stored)
    assert run(adapted, tmp_path / "in", tmp_path / "out")[0] == []
    masks = [
        read_labels(tmp_path / "out" / f"{n}.seg.dcm", read_scan(tmp_path / "in" / f"{n}.dcm"), classes=2)
        for n in (1, 2)
    ]
    assert masks[0].any()
    np.testing.assert_array_equal(*masks)


def test_a_case_without_identifiers_fails_alone_and_names_no_patient(adapted, tmp_path):
    pixels = np.random.default_rng(7).integers(0, 255, (30, 30), dtype=np.uint8)
    save_image(pixels, tmp_path / "in" / "bad.dcm", StudyInstanceUID=None, SeriesNumber=1)
    save_image(pixels, tmp_path / "in" / "good.dcm", SeriesNumber=2, PatientSex=None)
    failures, warnings = run(adapted, tmp_path / "in", tmp_path / "out")
    assert [failure.case for failure in failures] == ["1"]
    assert (tmp_path / "out" / "2.seg.dcm").is_file()
    told = " ".join([*(failure.reason for failure in failures), *warnings])
    assert "expected StudyInstanceUID" in told
    assert "PatientSex" in told
    assert "Doe" not in told
    assert "Secret" not in told
    assert all("Doe" not in path.read_text(errors="ignore") for path in (tmp_path / "out").glob("*.json"))


def test_a_bad_series_fails_with_the_files_it_is_about(adapted, tmp_path):
    voxels = np.zeros((8, 8, 6), np.int16)
    files = read_scan(save_series(voxels, tmp_path / "in", AFFINE)).files
    files[3].unlink()
    failures, _ = run(adapted, tmp_path / "in", tmp_path / "out")
    assert "slices are missing" in failures[0].reason
    assert not list((tmp_path / "out").glob("*.dcm"))


def test_cleaning_keeps_one_piece(adapted, tmp_path):
    from scipy import ndimage

    save_series(np.random.default_rng(8).normal(0, 99, SHAPE).astype(np.int16), tmp_path / "in", AFFINE)
    run(adapted, tmp_path / "in", tmp_path / "out", clean="largest")
    labels = read_labels(tmp_path / "out" / "7.seg.dcm", read_scan(tmp_path / "in"), classes=2)
    for label in set(np.unique(labels)) - {0}:
        assert ndimage.label(labels == label, np.ones((3, 3, 3)))[1] == 1


def test_second_slices_are_drawn_where_there_is_one_series(tmp_path):
    voxels, labels = np.zeros(SHAPE, np.int16), np.zeros(SHAPE, np.uint8)
    labels[4:16, 5:20, 2:7] = 1
    save_series(voxels + 50 * labels, tmp_path / "in", AFFINE)
    scan = read_scan(tmp_path / "in")
    write_dicom_seg(labels, tmp_path / "mask.dcm", scan.files, SegOrigin(("organ",)))
    drawn = draw_support(find_cases(tmp_path / "in", tmp_path / "mask.dcm"), shots=3, seed=0, size=32)
    assert drawn.classes == ("organ",)
    assert len({source.plane for source in drawn.sources}) == 3
