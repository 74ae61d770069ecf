"""Predicting a folder: masks on their images' own grids, failures that stop nobody else, runs that go on."""

from __future__ import annotations

import csv
import shutil

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image

from medtap.errors import InputError, OutputError, WeightsError
from medtap.workflows import predict
from tests.data.dicom_files import save_series


def written(folder):
    """Relative path to bytes of everything in a folder, but for times."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if name not in ("run.json", ".medtap.lock")}


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def mixed(lesions, tmp_path):
    """Images at two depths, an empty one, a text named like an image, and a text."""
    images = tmp_path / "mixed"
    (images / "ward 3" / "left").mkdir(parents=True)
    shutil.copy(lesions[0] / "case0.png", images / "top.png")
    for index in (1, 2, 3):
        shutil.copy(lesions[0] / f"case{index}.png", images / "ward 3" / "left" / f"{index}.PNG")
    (images / "broken.png").write_text("no picture")
    (images / "empty.jpg").touch()
    (images / "notes.txt").write_text("nothing")
    return images


def test_masks_mirror_the_images(skin_adapter, mixed, tmp_path):
    outcome = predict(skin_adapter, mixed, tmp_path / "out")
    masks = {"top.png", *(f"ward 3/left/{index}.png" for index in (1, 2, 3))}
    assert written(tmp_path / "out").keys() == masks | {"failed.csv", "skipped.csv", "report.html"}
    assert outcome.done == ["top", "ward 3/left/1", "ward 3/left/2", "ward 3/left/3"]
    for name in masks:
        mask = Image.open(tmp_path / "out" / name)
        assert mask.size == (60, 40)
        assert set(np.unique(np.asarray(mask))) <= {0, 255}


def test_failures_and_skipped_files_are_listed(skin_adapter, mixed, tmp_path):
    outcome = predict(skin_adapter, mixed, tmp_path / "out")
    assert outcome.exit_code == 3
    failed = rows(tmp_path / "out" / "failed.csv")
    assert [row["case"] for row in failed] == ["broken", "empty"]
    assert failed[1]["file"] == str(mixed / "empty.jpg")
    assert "the file is empty" in failed[1]["reason"]
    assert [row["file"] for row in rows(tmp_path / "out" / "skipped.csv")] == [str(mixed / "notes.txt")]


def test_without_failures_there_are_no_lists(skin_adapter, lesions, tmp_path):
    outcome = predict(skin_adapter, lesions[0], tmp_path / "out")
    assert outcome.exit_code == 0
    assert not {"failed.csv", "skipped.csv"} & written(tmp_path / "out").keys()
    assert outcome.warnings == ["2 of the images are in the support set"]


def test_a_flipped_oblique_volume_gets_the_flipped_mask(volume_adapter, volumes, tmp_path):
    """The same scan stored along other axes: the mask is stored along these too, voxel for voxel the same."""
    turn = np.array([[0.9, -0.3, 0.1], [0.3, 0.9, 0.2], [-0.1, -0.2, 0.95]])
    source = nib.load(volumes[0] / "scan0.nii.gz")
    voxels, affine = np.asarray(source.dataobj), source.affine.copy()
    affine[:3, :3] = turn @ affine[:3, :3]
    orientation = np.array([[2, -1], [0, 1], [1, -1]])
    other = nib.orientations.apply_orientation(voxels, orientation)
    other_affine = affine @ nib.orientations.inv_ornt_aff(orientation, voxels.shape)
    (tmp_path / "in").mkdir()
    nib.save(nib.Nifti1Image(voxels, affine), tmp_path / "in" / "a.nii.gz")
    nib.save(nib.Nifti1Image(other, other_affine), tmp_path / "in" / "b.nii")
    predict(volume_adapter, tmp_path / "in", tmp_path / "out")
    a, b = (nib.load(tmp_path / "out" / name) for name in ("a.nii.gz", "b.nii"))
    assert np.allclose(a.affine, affine, atol=1e-4)
    assert np.allclose(b.affine, other_affine, atol=1e-4)
    expected = nib.orientations.apply_orientation(np.asarray(a.dataobj), orientation)
    assert np.asarray(a.dataobj).any()
    assert np.array_equal(np.asarray(b.dataobj), expected)


def stopped_after(count):
    """Progress during which somebody presses Ctrl-C."""

    def progress(items, _):
        for index, item in enumerate(items):
            if index == count:
                raise KeyboardInterrupt
            yield item

    return progress


def test_an_interrupted_run_goes_on_to_the_same_bytes(skin_adapter, mixed, tmp_path):
    whole = predict(skin_adapter, mixed, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        predict(skin_adapter, mixed, tmp_path / "out", progress=stopped_after(2))
    assert not (tmp_path / "out" / "report.html").exists()
    seen = []
    outcome = predict(skin_adapter, mixed, tmp_path / "out", progress=lambda items, count: seen.append(count) or items)
    assert seen == [4]  # two of six are done
    assert written(tmp_path / "out") == written(tmp_path / "whole")
    assert (outcome.done, outcome.failures) == (whole.done, whole.failures)


def test_a_run_that_goes_on_tells_of_earlier_repairs_too(volume_adapter, tmp_path):
    random = np.random.default_rng(0)
    for name in "ab":
        files = save_series(random.integers(0, 900, (12, 14, 3)).astype(np.uint16), tmp_path / "in" / name, np.eye(4))
        for path in files:
            dataset = pydicom.dcmread(path)
            del dataset.PatientSex
            dataset.save_as(path)
    whole = predict(volume_adapter, tmp_path / "in", tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        predict(volume_adapter, tmp_path / "in", tmp_path / "out", progress=stopped_after(1))
    outcome = predict(volume_adapter, tmp_path / "in", tmp_path / "out")
    assert sum("PatientSex missing" in warning for warning in whole.warnings) == 2
    assert outcome.warnings == whole.warnings
    assert written(tmp_path / "out") == written(tmp_path / "whole")


def test_batches_make_no_difference(volume_adapter, volumes, tmp_path):
    for size in (1, 8):
        predict(volume_adapter, volumes[0] / "scan0.nii.gz", tmp_path / str(size), batch_size=size)
    first, second = (np.asarray(nib.load(tmp_path / size / "scan0.nii.gz").dataobj) for size in ("1", "8"))
    assert np.mean(first != second) < 1e-3


def test_a_finished_run_is_kept(skin_adapter, lesions, tmp_path):
    predict(skin_adapter, lesions[0], tmp_path / "out")
    with pytest.raises(OutputError, match=r"finished run.*--overwrite"):
        predict(skin_adapter, lesions[0], tmp_path / "out")
    before = written(tmp_path / "out")
    predict(skin_adapter, lesions[0], tmp_path / "out", overwrite=True)
    assert written(tmp_path / "out") == before


def test_refusals_leave_no_folder(skin_adapter, lesions, tmp_path):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InputError):
        predict(skin_adapter, tmp_path / "nothing", tmp_path / "out")
    with pytest.raises(WeightsError, match="no adaptation can be read here"):
        predict(tmp_path / "nothing", lesions[0], tmp_path / "out")
    assert not (tmp_path / "out").exists()
