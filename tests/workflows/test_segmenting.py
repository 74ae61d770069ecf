"""The options of segmenting: refused together with the rest, carried out, told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medtap.adaptation import TapOptions
from medtap.adapted import load_adapted
from medtap.data import read_scan
from medtap.errors import OptionError
from medtap.inference import PlaneInferer
from medtap.record import AdaptationRecord
from medtap.workflows import SegmentOptions, adapt, evaluate, predict

Folders = tuple[Path, Path]


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """Size and flips of every inferer that is made."""
    made: list[tuple[int, str]] = []
    init = PlaneInferer.__init__

    def noted(self: PlaneInferer, size: int, batch_size: int, flips: str) -> None:
        made.append((size, flips))
        init(self, size, batch_size, flips=flips)

    monkeypatch.setattr(PlaneInferer, "__init__", noted)
    return made


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"flips": "horisontal"}, "unknown flips.*did you mean horizontal"),
        ({"clean": "autos"}, "unknown way of cleaning.*did you mean auto"),
        ({"subsets": -1}, "subsets of the support set cannot be fewer than none; found -1"),
        ({"subsets": 3}, "expected 0 to 2 subsets of 2 shots; found 3"),
        ({"query_size": 16}, "expected 32 px or more; found 16"),
        ({"query_size": 64, "self_support": True}, "an image supports itself at the support set's size alone"),
        ({"query_sise": 64}, "unknown option 'query_sise' .did you mean 'query_size'"),
    ],
)
def test_refused_before_any_work(
    skin_adapter: Path, lesions: Folders, tmp_path: Path, how: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        predict(skin_adapter, lesions[0], tmp_path / "out", **how)
    with pytest.raises(OptionError, match=message):
        evaluate(skin_adapter, *lesions, tmp_path / "out", **how)
    assert not (tmp_path / "out").exists()


def test_only_what_is_given_is_told() -> None:
    assert SegmentOptions().given == {}
    assert SegmentOptions(clean="auto", query_size=400).given == {"clean": "auto", "query_size": 400}


def test_images_are_segmented_as_asked(
    skin_adapter: Path, lesions: Folders, tmp_path: Path, sizes: list[tuple[int, str]]
) -> None:
    how: dict[str, Any] = {"flips": "both", "subsets": 2, "query_size": 100}
    predict(skin_adapter, lesions[0], tmp_path / "out", **how)
    predict(skin_adapter, lesions[0], tmp_path / "plain")
    evaluate(skin_adapter, *lesions, tmp_path / "scores", **how)
    assert sizes == [(100, "both"), (64, "none"), (100, "both")]
    for run in ("out", "scores"):
        assert "--flips both --subsets 2 --query-size 100" in (tmp_path / run / "report.html").read_text()
        assert how.items() <= json.loads((tmp_path / run / "run.json").read_text())["options"].items()
    masks = [np.asarray(Image.open(tmp_path / run / "case3.png")) for run in ("out", "plain")]
    assert masks[0].shape == masks[1].shape == (40, 60)


def test_other_flips_are_another_run(skin_adapter: Path, lesions: Folders, tmp_path: Path) -> None:
    def stopped(items: Any, _: int) -> Any:
        yield next(iter(items))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(skin_adapter, lesions[0], tmp_path / "out", progress=stopped)
    with pytest.raises(Exception, match="overwrite"):
        predict(skin_adapter, lesions[0], tmp_path / "out", flips="horizontal")


def test_subsets_change_what_is_found(
    volume_adapter: Path, volumes: Folders, tiny_folder: Path, tmp_path: Path
) -> None:
    options, folder = TapOptions(passes=1), tmp_path / "three"
    adapt(*volumes, folder, network=str(tiny_folder), options=options, shots=3, classes=("left", "right"))
    scan = volumes[0] / "scan0.nii.gz"
    for subsets in (0, 3):
        predict(folder, scan, tmp_path / f"{subsets}", subsets=subsets)
    first, second = (read_scan(tmp_path / name / "scan0.nii.gz").pixels for name in ("0", "3"))
    assert first.shape == second.shape
    assert (first != second).any()
    with pytest.raises(OptionError, match="with one shot there is nothing to leave out"):
        predict(volume_adapter, scan, tmp_path / "one", subsets=1)


def test_images_support_themselves(skin_adapter: Path, lesions: Folders, tmp_path: Path) -> None:
    predict(skin_adapter, lesions[0], tmp_path / "out", self_support=True, flips="horizontal")
    assert "--self-support" in (tmp_path / "out" / "report.html").read_text()
    assert json.loads((tmp_path / "out" / "run.json").read_text())["options"]["self_support"] is True


@pytest.mark.parametrize("size", [96, 100])
def test_adapted_at_a_size_is_used_at_it(
    lesions: Folders, tiny_folder: Path, tmp_path: Path, size: int, sizes: list[tuple[int, str]]
) -> None:
    options = TapOptions(passes=1)
    adapt(*lesions, tmp_path / "adapter", network=str(tiny_folder), options=options, shots=2, size=size)
    record = AdaptationRecord.read(tmp_path / "adapter")
    assert record.size == load_adapted(tmp_path / "adapter").size == size
    predict(tmp_path / "adapter", lesions[0], tmp_path / "out")
    assert sizes == [(size, "none")]
    assert f"--shots 2 --size {size}" in (tmp_path / "out" / "report.html").read_text()


def test_adapting_at_a_size_too_small_is_refused(lesions: Folders, tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="expected 32 px or more; found 31"):
        adapt(*lesions, tmp_path / "adapter", network=str(tiny_folder), size=31)
    assert not (tmp_path / "adapter").exists()
