"""Every adapter inside a bundle by one override: ``--method``."""

from __future__ import annotations

import pytest

from medtap.adaptation import TapOptions
from medtap.adapted import load_adapted
from medtap.adapters import build_adapter
from medtap.presets import use_preset
from medtap.workflows import adapt, predict
from tests.bundles.conftest import BUNDLES


@pytest.fixture
def bundle():
    """One stands for all: `tests/bundles/test_alike.py` holds that their configs are the same."""
    return BUNDLES[0]


def masks_of(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


@pytest.mark.parametrize("method", ["svf", pytest.param("conv_lora", marks=pytest.mark.slow)])
def test_masks_are_those_of_adapt_and_predict(workflow, support, lesions, tmp_path, method):
    """SVF is merged into the weights; Conv-LoRA stays in the encoder."""
    folders = {"dataset_dir": str(lesions[0]), "output_dir": str(tmp_path / "out")}
    workflow("inference", method=method, **support, **folders).run()
    assert load_adapted(tmp_path / "out" / "adapter").record.method == method
    _, options = use_preset("medtap", method, passes=1, seed=3)
    assert isinstance(options, TapOptions)
    run = {"adapter": build_adapter(method), "options": options, "shots": 2, "device": "cpu"}
    adapt(*lesions, tmp_path / "adapter", classes=("spot",), **run)
    predict(tmp_path / "adapter", lesions[0], tmp_path / "predicted", device="cpu")
    assert masks_of(tmp_path / "out") == masks_of(tmp_path / "predicted")
    assert len(masks_of(tmp_path / "out")) == 6
