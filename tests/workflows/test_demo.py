"""The demo, of fewer images and with a tiny network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from medtap.defaults import NETWORK
from medtap.errors import OutputError
from medtap.networks import zoo
from medtap.workflows import demo


@pytest.fixture(autouse=True)
def _small(tiny_folder, monkeypatch):
    """Eight images, and the tiny network in the place of the embedded one."""
    tiny_folder.rename(tiny_folder.with_name(NETWORK))
    monkeypatch.setattr(zoo, "EMBEDDED", tiny_folder.parent)
    monkeypatch.setattr(demo, "_IMAGES", 8)
    monkeypatch.setattr(demo, "_SHOWN", 3)


def test_the_whole_job(tmp_path):
    adapted, metrics, outcome = demo.run_demo(tmp_path / "demo")
    assert (adapted.record.shots, metrics["cases"], outcome.exit_code) == (5, 3, 0)
    assert len(list((tmp_path / "demo" / "masks").glob("*.png"))) == 8
    for name in ("adapter/adapter.safetensors", "scores/metrics.json", "predictions.png"):
        assert (tmp_path / "demo" / name).is_file()


def test_the_report_says_that_the_images_are_generated(tmp_path):
    demo.run_demo(tmp_path / "demo")
    page = (tmp_path / "demo" / "report.html").read_text()
    assert "these images are generated" in page
    assert page == (tmp_path / "demo" / "scores" / "report.html").read_text()


def test_a_seed_gives_the_same_images_and_another_seed_others(tmp_path):
    for out, seed in (("a", 0), ("b", 0), ("c", 1)):
        with demo.RunFolder(tmp_path / out, inputs=[], options={}) as run:
            demo.write_demo_data(run, seed)
    first, same, other = ((tmp_path / out / "data/images/00.png").read_bytes() for out in "abc")
    assert first == same != other


def test_an_earlier_demo_is_kept_unless_told_otherwise(tmp_path):
    demo.run_demo(tmp_path / "demo")
    with pytest.raises(OutputError, match="finished run"):
        demo.run_demo(tmp_path / "demo")
    demo.run_demo(tmp_path / "demo", overwrite=True)


def test_lesions_are_darker_than_the_skin_around():
    masks = torch.zeros(2, 64, 64)
    masks[:, 20:40, 20:40] = 1
    images = demo.skin_images(masks, torch.Generator().manual_seed(0))
    assert images.shape == (2, 3, 64, 64)
    assert images[:, :, 25:35, 25:35].mean() < images[:, :, :10].mean() - 0.2


def test_the_sheet_shows_truth_and_prediction(tmp_path):
    for folder in ("images", "masks", "found"):
        (tmp_path / folder).mkdir()
        shape = (32, 32, 3) if folder == "images" else (32, 32)
        Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / folder / "00.png")
    folders = [tmp_path / folder for folder in ("images", "masks", "found")]
    assert demo.predictions_sheet(*folders, ["00"]).height > 256
