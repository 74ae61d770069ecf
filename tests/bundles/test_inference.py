"""``inference.json``: adapt if a support set is given, predict, and refuse what must be refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medtap.adaptation import TapOptions
from medtap.adapted import load_adapted
from medtap.errors import InputError, MedtapError, OptionError, OutputError, WeightsError, medtap_cause
from medtap.record import AdaptationRecord
from medtap.workflows import adapt, predict
from medtap.workflows.bundle import SaveMasks
from medtap.workflows.transforms import SaveMaskd
from tests.bundles.conftest import BUNDLES, FEW


@pytest.fixture
def bundle():
    """One stands for all: `tests/bundles/test_alike.py` holds that their configs are the same."""
    return BUNDLES[0]


def refusal(workflow):
    """The error of medtap's that a run ends with, behind whatever MONAI and ignite wrap it in."""
    with pytest.raises((MedtapError, RuntimeError)) as caught:
        workflow.run()
    return medtap_cause(caught.value)


def contents(folder, pattern):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).rglob(pattern))}


def masks_of(folder):
    return {name: content for name, content in contents(folder, "*.png").items() if name != "support.png"}


@pytest.fixture
def ready(workflow, lesions, tmp_path):
    """A function (**overrides) -> a workflow of the generated images into ``tmp_path / "out"``."""
    return lambda **given: workflow(
        "inference", **{"dataset_dir": str(lesions[0]), "output_dir": str(tmp_path / "out"), **given}
    )


def test_masks_are_those_of_adapt_and_predict(ready, support, lesions, tmp_path):
    ready(**support).run()
    adapt(*lesions, tmp_path / "adapter", options=TapOptions(1, seed=3), shots=2, device="cpu", classes=("spot",))
    predict(tmp_path / "adapter", lesions[0], tmp_path / "predicted", device="cpu")
    assert masks_of(tmp_path / "out") == masks_of(tmp_path / "predicted")
    assert len(masks_of(tmp_path / "out")) == 6
    adapters = [folder / "adapter.safetensors" for folder in (tmp_path / "adapter", tmp_path / "out" / "adapter")]
    assert adapters[0].read_bytes() == adapters[1].read_bytes()


def test_adapter_it_leaves_can_be_loaded(ready, support, tmp_path):
    ready(**support).run()
    assert load_adapted(tmp_path / "out" / "adapter").record.shots == 2


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_bundles_own_model_runs_without_a_support_set(ready, bundle, tmp_path):
    made = ready()
    made.run()
    masks = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "out").glob("*.png"))]
    assert {mask.shape for mask in masks} == {(40, 60)}
    classes = AdaptationRecord.read(bundle / "models").classes
    assert {value for mask in masks for value in np.unique(mask)} <= ({0, 255} if len(classes) == 1 else {0, 1, 2})
    assert not (tmp_path / "out" / "adapter").exists()
    assert json.loads((tmp_path / "out" / "run.json").read_text())["state"] == "done"


def test_case_that_cannot_be_read_is_listed_and_the_rest_goes_on(ready, lesions, tmp_path):
    (lesions[0] / "case6.png").write_bytes(b"no image")
    made = ready()
    made.run()
    assert "case6" in (tmp_path / "out" / "failed.csv").read_text()
    assert sorted(masks_of(tmp_path / "out")) == [f"case{index}.png" for index in range(6)]
    assert made.parser.get_parsed_content("case_run").outcome.exit_code == 3


def test_failures_are_those_of_the_last_run(ready, lesions):
    (lesions[0] / "case6.png").write_bytes(b"no image")
    made = ready(overwrite=True)
    made.run()
    made.run()
    assert len(made.parser.get_parsed_content("case_run").outcome.failures) == 1


def test_every_case_failing_is_told(ready, tmp_path):
    data = tmp_path / "broken"
    data.mkdir()
    (data / "one.png").write_bytes(b"")
    made = ready(dataset_dir=str(data))
    made.run()
    assert "one" in (tmp_path / "out" / "failed.csv").read_text()


def test_half_done_run_goes_on(ready, tmp_path, monkeypatch):
    ready(output_dir=str(tmp_path / "whole")).run()
    save = SaveMasks.__call__

    def save_two(self, engine):
        if engine.state.iteration == 3:
            raise KeyboardInterrupt
        save(self, engine)

    with monkeypatch.context() as patched:
        patched.setattr(SaveMasks, "__call__", save_two)
        interrupted = ready()
        with pytest.raises(KeyboardInterrupt):
            interrupted.run()
    assert len(masks_of(tmp_path / "out")) == 2
    again = ready()
    again.run()
    assert again.parser.get_parsed_content("case_run").outcome.done == [f"case{index}" for index in range(6)]
    assert again.parser.get_parsed_content("case_run").before == {"case0", "case1"}
    assert masks_of(tmp_path / "out") == masks_of(tmp_path / "whole")


def test_empty_dataset_is_refused(ready, tmp_path):
    empty = tmp_path / "nothing"
    empty.mkdir()
    error = refusal(ready(dataset_dir=str(empty)))
    assert isinstance(error, InputError)
    assert str(empty) in str(error)
    assert not (tmp_path / "out").exists()


def test_output_that_is_the_input_is_refused(ready, lesions):
    error = refusal(ready(output_dir=str(lesions[0])))
    assert isinstance(error, OutputError)
    assert "input folder" in str(error)


def test_finished_run_is_kept_unless_told(ready, tmp_path):
    ready().run()
    assert "finished run" in str(refusal(ready()))
    ready(overwrite=True).run()
    assert len(masks_of(tmp_path / "out")) == 6


def test_support_set_that_is_too_small_is_refused(ready, support, tmp_path):
    assert "7" in str(refusal(ready(**{**support, "shots": 7})))
    assert not (tmp_path / "out").exists()


def test_own_model_is_refused_for_other_classes(ready):
    error = refusal(ready(classes="nucleus,cytoplasm,membrane"))
    assert isinstance(error, OptionError)
    assert "nucleus, cytoplasm, membrane" in str(error)


def test_own_model_that_is_not_there_is_refused(ready, bundle, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "manifest.json").write_bytes((bundle / "models" / "manifest.json").read_bytes())
    error = refusal(ready(model_file=str(tmp_path / "models" / "model.pt")))
    assert isinstance(error, WeightsError)
    assert "not the one that its manifest describes" in str(error)


def test_unknown_device_is_refused(ready):
    assert "no device is called 'tpu'" in str(refusal(ready(device="tpu")))


def test_volumes_come_out_as_from_adapt_and_predict(workflow, volumes, tmp_path):
    """Two classes, cut along another axis, and cleaned."""
    named = {"support_images": str(volumes[0]), "support_masks": str(volumes[1]), "classes": "left,right", **FEW}
    data = volumes[0] / "scan1.nii.gz"
    folders = {"dataset_dir": str(data), "output_dir": str(tmp_path / "out")}
    workflow("inference", axis="coronal", clean="largest", **named, **folders).run()
    options = {"options": TapOptions(1, seed=3), "shots": 2, "device": "cpu", "axis": "coronal"}
    adapt(*volumes, tmp_path / "adapter", classes=("left", "right"), **options)
    predict(tmp_path / "adapter", data, tmp_path / "predicted", device="cpu", clean="largest")
    found, expected = (contents(tmp_path / name, "*.nii.gz") for name in ("out", "predicted"))
    assert found == expected
    assert len(found) == 1


def test_unknown_way_of_cleaning_is_refused(ready, tmp_path):
    assert "did you mean largest?" in str(refusal(ready(clean="larges")))
    assert not (tmp_path / "out").exists()


def test_report_is_left_that_says_how_to_do_it_again(ready, support, tmp_path):
    ready(**support).run()
    page = (tmp_path / "out" / "report.html").read_text()
    assert "6 cases were segmented" in page
    assert f"medtap predict --adapter {tmp_path / 'out' / 'adapter'}" in page


def test_report_of_the_own_model_names_no_adapter_that_there_is_not(ready, tmp_path):
    ready().run()
    assert "medtap predict --adapter FOLDER" in (tmp_path / "out" / "report.html").read_text()


def test_source_that_no_seg_can_answer_to_fails_and_is_not_counted(ready, support, tmp_path, monkeypatch):
    """As a CT without a frame of reference does: it is read and segmented, and its mask cannot be written."""

    def refuse_one(_, data):
        if data["name"] == "case1":
            raise InputError("no frame of reference")
        return data

    monkeypatch.setattr(SaveMaskd, "__call__", refuse_one)
    made = ready(**support)
    made.run()
    outcome = made.parser.get_parsed_content("case_run").outcome
    assert [failure.case for failure in outcome.failures] == ["case1"]
    assert outcome.done == ["case0", "case2", "case3", "case4", "case5"]
    assert "no frame of reference" in (tmp_path / "out" / "failed.csv").read_text()
