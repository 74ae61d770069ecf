"""Evaluating: the numbers are those of the masks, the support set is left out, the interface is kept."""

from __future__ import annotations

import csv
import json
import math

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from medtap.errors import InputError
from medtap.workflows import evaluate, predict

SCORES = {"dice", "iou", "surface_dice", "hd95", "miou", "pooled_dice", "fb_iou"}


def table(out):
    with (out / "metrics.csv").open(newline="") as file:
        return {row.pop("case"): row for row in csv.DictReader(file)}


def dice(found, truth):
    both = np.sum(found & truth)
    return 2 * both / (found.sum() + truth.sum()) if found.any() or truth.any() else math.nan


def test_scores_are_those_of_the_predicted_masks(skin_adapter, lesions, tmp_path):
    predict(skin_adapter, lesions[0], tmp_path / "found")
    metrics, _ = evaluate(skin_adapter, *lesions, tmp_path / "out")
    rows = table(tmp_path / "out")
    pooled = np.zeros(2)
    for name, row in rows.items():
        found = np.asarray(Image.open(tmp_path / "found" / f"{name}.png")) > 0
        truth = np.asarray(Image.open(lesions[1] / f"{name}_segmentation.png")) > 0
        assert float(row["dice"]) == pytest.approx(dice(found, truth), abs=1e-5)
        pooled += [np.sum(found & truth), np.sum(found | truth)]
    assert pooled[0] > 0
    assert metrics["dice"]["mean"] == pytest.approx(np.mean([float(row["dice"]) for row in rows.values()]), abs=1e-5)
    assert metrics["miou"]["mean"] == pytest.approx(pooled[0] / pooled[1], rel=1e-5)


def test_volumes_are_scored_class_by_class_in_mm(volume_adapter, volumes, tmp_path):
    predict(volume_adapter, volumes[0], tmp_path / "found")
    metrics, _ = evaluate(volume_adapter, *volumes, tmp_path / "out")
    assert metrics["unit"] == "mm"
    assert list(metrics["per_class"]) == ["left", "right"]
    for name, row in table(tmp_path / "out").items():
        found, truth = (
            np.asarray(nib.load(folder / f"{name}.nii.gz").dataobj) for folder in (tmp_path / "found", volumes[1])
        )
        for label, kind in enumerate(("left", "right"), start=1):
            expected = dice(found == label, truth == label)
            assert float(row[f"dice[{kind}]"]) == pytest.approx(expected, abs=1e-5, nan_ok=True)


@pytest.mark.parametrize(("kind", "data", "left_out"), [("skin", "lesions", 2), ("volume", "volumes", 1)])
def test_the_support_set_is_left_out(kind, data, left_out, request, tmp_path):
    adapter, folders = request.getfixturevalue(f"{kind}_adapter"), request.getfixturevalue(data)
    seen = {source["name"] for source in json.loads((adapter / "manifest.json").read_text())["support"]}
    _, outcome = evaluate(adapter, *folders, tmp_path / "out")
    everything = {path.name.split(".")[0] for path in folders[0].iterdir()}
    assert set(table(tmp_path / "out")) == everything - seen
    assert outcome.warnings == [f"left out {left_out} cases of the support set"]


def test_metrics_json_keeps_its_interface(skin_adapter, lesions, tmp_path):
    returned, _ = evaluate(skin_adapter, *lesions, tmp_path / "out")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    told = {"cases", "failed", "per_class", "seed", "shots", "network", "method", "support_sha256", "cost"}
    assert metrics.keys() == returned.keys() == SCORES | told | {"unit", "classes"}
    assert list(metrics["per_class"]) == metrics["classes"]
    for scores in (metrics, *metrics["per_class"].values()):
        for name in SCORES:
            assert scores[name].keys() == {"mean", "ci95"}
            low, high = scores[name]["ci95"]
            assert low <= scores[name]["mean"] <= high
        assert all(0 <= scores[name]["mean"] <= 1 for name in SCORES - {"hd95"})
    assert metrics["cost"].keys() == {"adapt_seconds", "seconds_per_image", "peak_rss_mb"}
    assert (metrics["cases"], metrics["failed"], metrics["shots"], metrics["seed"]) == (4, 0, 2, 0)
    manifest = json.loads((skin_adapter / "manifest.json").read_text())
    assert {metrics[key] == manifest[key] for key in ("network", "method", "support_sha256")} == {True}


def test_a_failed_case_is_listed_and_not_scored(skin_adapter, lesions, tmp_path):
    support = {source["name"] for source in json.loads((skin_adapter / "manifest.json").read_text())["support"]}
    broken = next(path for path in sorted(lesions[0].iterdir()) if path.stem not in support)
    broken.write_bytes(broken.read_bytes()[:100])
    metrics, outcome = evaluate(skin_adapter, *lesions, tmp_path / "out")
    assert (metrics["cases"], metrics["failed"], outcome.exit_code) == (3, 1, 3)
    assert broken.stem in (tmp_path / "out" / "failed.csv").read_text()
    assert broken.stem not in table(tmp_path / "out")


def test_grey_masks_fail_every_case_and_are_told_of(skin_adapter, lesions, tmp_path):
    for path in lesions[1].iterdir():
        Image.fromarray(np.asarray(Image.open(path)) // 2 + 60).save(path)
    with pytest.raises(InputError, match=r"no case could be scored; see failed\.csv"):
        evaluate(skin_adapter, *lesions, tmp_path / "out")
    assert "--mask-threshold" in (tmp_path / "out" / "failed.csv").read_text()
    metrics, _ = evaluate(skin_adapter, *lesions, tmp_path / "other", mask_threshold=100)
    assert metrics["cases"] == 4


def test_nothing_but_the_support_set_is_refused(volume_adapter, volumes, tmp_path):
    for name in ("scan0", "scan1", "scan2"):
        support = json.loads((volume_adapter / "manifest.json").read_text())["support"][0]["name"]
        if name != support:
            (volumes[0] / f"{name}.nii.gz").unlink()
            (volumes[1] / f"{name}.nii.gz").unlink()
    with pytest.raises(InputError, match="there is nothing to segment"):
        evaluate(volume_adapter, *volumes, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_same_command_same_bytes(skin_adapter, lesions, tmp_path):
    for out in ("a", "b"):
        evaluate(skin_adapter, *lesions, tmp_path / out)
    for name in ("metrics.csv", "report.html"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
