"""The speed of a device is measured as it is told; no test asserts a time."""

from __future__ import annotations

import pytest
import torch

from medtap.benchmarks import speed
from medtap.errors import OptionError
from tests.tiny import tiny_network

TINY = {"networks": ["tiny"], "size": 64, "shots": 2, "passes": 1, "images": 3, "repeats": 1, "device": "cpu"}


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setattr(speed, "network_of", lambda *_: tiny_network())


def test_images_are_segmented_as_many_as_told(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(speed, "timed", lambda work, *_, **__: work() or 0.5)
    stream = speed.PlaneInferer.stream

    def counted(self, images, *given):
        images = list(images)
        seen.append(len(images))
        return stream(self, images, *given)

    monkeypatch.setattr(speed.PlaneInferer, "stream", counted)
    results = speed.run_speed(TINY, seed=0, config=tmp_path)
    row = results["settings"]["tiny-64-k2"]
    assert row["images_per_second"] == 6.0
    assert row["adapt_seconds"] == 0.5
    assert seen == [1, 3]
    assert results["protocol"]["device"] == "cpu"
    assert "adapt_peak_gpu_mb" not in row


def test_compiled_network_is_measured_where_asked(tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(speed, "compile_forward", lambda network, *_: compiled.append(network))
    row = speed.run_speed({**TINY, "compiled": True}, seed=0, config=tmp_path)["settings"]["tiny-64-k2"]
    assert len(compiled) == 1
    assert row.keys() >= {"images_per_second", "compiled_images_per_second", "compiled_seconds_before"}


def test_mistakes_are_refused(tmp_path):
    with pytest.raises(OptionError, match="numbers of at least 1"):
        speed.run_speed({**TINY, "images": 0}, seed=0, config=tmp_path)
    with pytest.raises(OptionError, match=r"'image' \(did you mean 'images'\?\)"):
        speed.run_speed({"image": 1}, seed=0, config=tmp_path / "gpu.yaml")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_is_measured(tmp_path):
    results = speed.run_speed({**TINY, "device": "cuda"}, seed=0, config=tmp_path)
    assert all(value > 0 for value in results["settings"]["tiny-64-k2"].values())
    assert results["protocol"]["device"] == torch.cuda.get_device_name(0)
