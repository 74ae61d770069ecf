"""The page that a run leaves behind: its numbers are those of the tables, and it tells of all that went wrong."""

from __future__ import annotations

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from medtap.record import AdaptationRecord
from medtap.report.scores import SCORES_SHOWN, shown_score
from medtap.workflows import evaluate, predict
from medtap.workflows.report import sampled_pictures
from tests.report.html_page import HtmlPage


def page_of(folder):
    """The report in a folder, parsed, which must be whole and load nothing."""
    page = HtmlPage((folder / "report.html").read_text(encoding="utf-8"))
    assert page.mistakes == []
    assert all(value.startswith("data:image/") for value in page.loads)
    return page


@pytest.mark.parametrize(("kind", "data"), [("skin", "lesions"), ("volume", "volumes")])
def test_numbers_are_those_of_metrics_json(kind, data, request, tmp_path):
    adapter, folders = request.getfixturevalue(f"{kind}_adapter"), request.getfixturevalue(data)
    evaluate(adapter, *folders, tmp_path / "out")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    text = page_of(tmp_path / "out").text.replace("\u00a0", " ")
    for scores in (metrics, *metrics["per_class"].values()):
        for key in SCORES_SHOWN:
            assert shown_score(scores[key]) in text
    manifest = json.loads((adapter / "manifest.json").read_text())
    for key in ("support_sha256", "base_sha256", "adapter_sha256"):
        assert manifest[key] in text
    assert f"medtap evaluate --adapter {adapter} --images {folders[0]} --masks {folders[1]} --out FOLDER" in text


def test_every_case_of_the_table_is_there(skin_adapter, lesions, tmp_path):
    evaluate(skin_adapter, *lesions, tmp_path / "out")
    text = page_of(tmp_path / "out").text
    for line in (tmp_path / "out" / "metrics.csv").read_text().splitlines()[1:]:
        case, dice, *_ = line.split(",")
        assert f"{case} {float(dice):.3f}" in text


def test_pictures_are_of_the_support_set_and_the_cases(skin_adapter, lesions, tmp_path):
    evaluate(skin_adapter, *lesions, tmp_path / "out")
    sizes = [picture.size for picture in page_of(tmp_path / "out").pictures()]
    assert sizes[:-1] == [(384, 256)] * 4  # 60 x 40 pixels, at most 384 on the page
    assert sizes[-1][0] > 2 * 256


def test_failures_skipped_files_and_warnings_are_told(skin_adapter, lesions, tmp_path):
    nasty = "<b onclick='x'>&amp;"
    (lesions[0] / f"{nasty}.png").write_text("no picture")
    (lesions[0] / "notes.txt").write_text("nothing")
    predict(skin_adapter, lesions[0], tmp_path / "out")
    page = page_of(tmp_path / "out")
    assert f"{nasty} : {nasty}.png: not a readable image" in page.text  # relative to the folder
    assert "notes.txt : not a kind of file that medtap reads" in page.text
    assert "2 of the images are in the support set" in page.text
    assert not any("onclick" in attributes for _, attributes in page.tags)


def test_every_mask_is_listed(skin_adapter, lesions, tmp_path):
    predict(skin_adapter, lesions[0], tmp_path / "out")
    text = page_of(tmp_path / "out").text
    assert all(f"case{index} case{index}.png" in text for index in range(6))
    assert "All cases." in text


def test_nothing_of_a_header_is_told(volume_adapter, volumes, tmp_path):
    path = volumes[0] / "scan0.nii.gz"
    volume = nib.load(path)
    volume.header["descrip"], volume.header["db_name"] = b"DOE^JOHN 19610501", b"DOE^JOHN"
    volume.to_filename(path)
    predict(volume_adapter, volumes[0], tmp_path / "out")
    assert "DOE^" not in (tmp_path / "out" / "report.html").read_text()


def test_neither_times_nor_the_output_folder_are_in_it(skin_adapter, lesions, tmp_path):
    for out in ("first", "second"):
        predict(skin_adapter, lesions[0], tmp_path / out)
    assert (tmp_path / "first" / "report.html").read_bytes() == (tmp_path / "second" / "report.html").read_bytes()


def test_an_adapter_without_its_sheet_and_run_still_reports(skin_adapter, lesions, tmp_path):
    for name in ("support.png", "run.json"):
        (skin_adapter / name).unlink()
    predict(skin_adapter, lesions[0], tmp_path / "out")
    text = page_of(tmp_path / "out").text
    assert "There is no picture of the support set" in text
    assert "--support-images FOLDER" in text


class Written:
    """A run's folder, as far as pictures go."""

    def __init__(self, path):
        self.path = path


def test_the_sample_is_seeded_and_shows_what_was_written(volume_adapter, volumes, tmp_path, monkeypatch):
    monkeypatch.setattr("medtap.workflows.report._SAMPLE", 2)
    labels = np.zeros((20, 24, 16), np.uint8)
    labels[:, :, 5] = 1
    record, masks = AdaptationRecord.read(volume_adapter), {}
    for path in sorted(volumes[0].iterdir()):
        masks[path.name[:5]] = path.name
        shutil.copy(volumes[1] / path.name, tmp_path / path.name)
        nib.save(nib.Nifti1Image(labels, nib.load(path).affine), tmp_path / path.name)
    items = [{"name": name, "image": str(volumes[0] / mask)} for name, mask in masks.items()]
    pictures = sampled_pictures(Written(tmp_path), record, items, masks)
    assert len(pictures) == 2
    assert {(picture.plane, picture.planes, picture.shares) for picture in pictures.values()} == {(11, 16, (1.0, 0.0))}
    assert {picture.size for picture in pictures.values()} == {(384, 230)}  # 40 mm to the left, 24 mm to posterior
    assert sampled_pictures(Written(tmp_path), record, items, masks).keys() == pictures.keys()


def test_a_sampled_case_that_is_gone_is_left_out(volume_adapter, volumes, tmp_path):
    record = AdaptationRecord.read(volume_adapter)
    items = [{"name": "scan0", "image": str(volumes[0] / "scan0.nii.gz")}]
    assert sampled_pictures(Written(tmp_path), record, items, {"scan0": "gone.nii.gz"}) == {}
