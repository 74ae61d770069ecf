"""Sizes, flips, subsets and cleaning by the support masks: a bundle gives what the command line gives."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from medtap.adaptation import TapOptions
from medtap.errors import medtap_cause
from medtap.record import AdaptationRecord
from medtap.workflows import adapt, predict

HOW = {"flips": "horizontal", "subsets": 1, "clean": "auto", "query_size": 64}


def masks_in(folder):
    return {path.name: np.asarray(Image.open(path)).tobytes() for path in folder.glob("*.png")}


def test_masks_are_those_of_adapt_and_predict(workflow, support, lesions, tmp_path):
    folders = {"dataset_dir": str(lesions[0]), "output_dir": str(tmp_path / "out")}
    workflow("inference", size=96, **support, **folders, **HOW).run()
    options = {"options": TapOptions(1, seed=3), "shots": 2, "size": 96, "device": "cpu"}
    adapt(*lesions, tmp_path / "adapter", classes=("spot",), **options)
    outcome = predict(tmp_path / "adapter", lesions[0], tmp_path / "predicted", device="cpu", **HOW)
    found = masks_in(tmp_path / "out")
    assert found == masks_in(tmp_path / "predicted")
    assert len(found) == 6
    told = json.loads((tmp_path / "out" / "run.json").read_text())
    (note,) = (warning for warning in outcome.warnings if "cleaned plane by plane" in warning)
    assert note in json.dumps(told)
    page = (tmp_path / "out" / "report.html").read_text()
    assert note in page
    assert "--clean auto --flips horizontal --subsets 1 --query-size 64" in page


def test_images_support_themselves_as_in_predict(workflow, support, lesions, tmp_path):
    folders = {"dataset_dir": str(lesions[0])}
    for how in ({}, {"self_support": True}):
        workflow("inference", size=96, **support, **folders, output_dir=str(tmp_path / f"{bool(how)}"), **how).run()
    adapter = tmp_path / "True" / "adapter"
    predict(adapter, lesions[0], tmp_path / "predicted", device="cpu", self_support=True)
    assert masks_in(tmp_path / "True") == masks_in(tmp_path / "predicted")
    assert masks_in(tmp_path / "True") != masks_in(tmp_path / "False")


def test_images_of_empty_masks_are_learnt_from_as_in_adapt(workflow, support, lesions, tmp_path):
    for name in ("case1", "case2"):
        Image.new("L", (60, 40)).save(lesions[1] / f"{name}_segmentation.png")
    folders = {"dataset_dir": str(lesions[0]), "output_dir": str(tmp_path / "out")}
    workflow("inference", size=96, lacking=2, **support, **folders).run()
    record = AdaptationRecord.read(tmp_path / "out" / "adapter")
    assert {source["name"] for source in record.lacking} == {"case1", "case2"}
    assert record.shots == 2


def test_own_model_is_used_at_another_size(workflow, lesions, tmp_path):
    folders = {"dataset_dir": str(lesions[0]), "output_dir": str(tmp_path / "out")}
    made = workflow("inference", query_size=128, **folders)
    assert made.parser.get_parsed_content("inferer").size == 128
    made.run()
    assert len(masks_in(tmp_path / "out")) == 6


def test_what_an_own_model_leaves_out_is_told_unless_it_is_told_not_to(workflow, lesions, tmp_path):
    for presence in (True, False):
        folders = {"dataset_dir": str(lesions[0]), "output_dir": str(tmp_path / f"{presence}")}
        made = workflow("inference", presence=presence, **folders)
        made.run()
        network = made.parser.get_parsed_content("network_def")
        assert network.looks_for_absence is (presence and any(each.least > 0 for each in network.presence))
        told = "a class is left out of planes" in (tmp_path / f"{presence}" / "report.html").read_text()
        assert told is network.looks_for_absence
        noted = json.loads((tmp_path / f"{presence}" / "run.json").read_text())["details"]["warnings"]
        assert sum("a class is left out of planes" in warning for warning in noted) == told
    assert any(each.least > 0 for each in network.presence) is (network.classes == ("anterior", "posterior"))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"subsets": 3}, "0 to 2 subsets of 2 shots"),
        ({"self_support": True, "query_size": 64}, "an image supports itself at the support set's size alone"),
        ({"self_support": True, "size": 64, "support_images": None}, "at the support set's size alone"),
        ({"flips": "horizontl"}, "did you mean horizontal"),
    ],
)
def test_what_cannot_be_is_refused(workflow, support, lesions, tmp_path, how, message):
    folders = {"dataset_dir": str(lesions[0]), "output_dir": str(tmp_path / "out")}
    with pytest.raises(Exception) as raised:  # noqa: PT011
        workflow("inference", **{**support, **folders, **how}).run()
    assert message in str(medtap_cause(raised.value))
    assert not (tmp_path / "out").exists()
