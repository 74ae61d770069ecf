"""``evaluate.json``: the scores of ``medtap evaluate``, MONAI's mean Dice beside them."""

from __future__ import annotations

import json

import pytest

from medtap.adaptation import TapOptions
from medtap.errors import MedtapError, medtap_cause
from medtap.workflows import adapt, evaluate
from tests.bundles.conftest import BUNDLES


@pytest.fixture
def bundle():
    """One stands for all: `tests/bundles/test_alike.py` holds that their configs are the same."""
    return BUNDLES[0]


def without_cost(folder):
    metrics = json.loads((folder / "metrics.json").read_text())
    return {name: value for name, value in metrics.items() if name != "cost"}


@pytest.fixture
def ready(workflow, lesions, tmp_path):
    """A function (**overrides) -> a workflow of the generated images and masks into ``tmp_path / "out"``."""
    images, masks = (str(folder) for folder in lesions)
    out = str(tmp_path / "out")
    return lambda **given: workflow("evaluate", dataset_dir=images, masks_dir=masks, output_dir=out, **given)


def test_scores_are_those_of_adapt_and_evaluate(ready, support, lesions, tmp_path):
    made = ready(**support)
    made.run()
    adapt(*lesions, tmp_path / "adapter", options=TapOptions(1, seed=3), shots=2, device="cpu", classes=("spot",))
    evaluate(tmp_path / "adapter", *lesions, tmp_path / "scores", device="cpu")
    assert without_cost(tmp_path / "out") == without_cost(tmp_path / "scores")
    tables = [folder / "metrics.csv" for folder in (tmp_path / "out", tmp_path / "scores")]
    assert tables[0].read_bytes() == tables[1].read_bytes()


def test_support_images_are_left_out(ready, support, tmp_path):
    ready(**support).run()
    assert without_cost(tmp_path / "out")["cases"] == 4


def test_key_metric_is_the_mean_dice(ready, support, tmp_path):
    made = ready(**support)
    made.run()
    state = made.evaluator.state
    assert state.key_metric_name == "val_mean_dice"
    assert state.metrics["val_mean_dice"] == pytest.approx(without_cost(tmp_path / "out")["dice"]["mean"], abs=1e-5)


def test_engine_may_run_again(ready):
    made = ready(overwrite=True)
    made.run()
    made.run()
    assert made.parser.get_parsed_content("handlers")[2].metrics["cases"] == 6


def test_report_is_left(ready, support, tmp_path):
    ready(**support).run()
    page = (tmp_path / "out" / "report.html").read_text()
    assert "mean Dice" in page
    assert f"medtap evaluate --adapter {tmp_path / 'out' / 'adapter'}" in page


def test_nothing_to_score_is_refused(ready, lesions, tmp_path):
    for image in lesions[0].iterdir():
        image.write_bytes(b"no image")
    with pytest.raises((MedtapError, RuntimeError)) as caught:
        ready().run()
    assert "no case could be scored" in str(medtap_cause(caught.value))
    assert "case5" in (tmp_path / "out" / "failed.csv").read_text()
