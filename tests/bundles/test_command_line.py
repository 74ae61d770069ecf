"""``python -m monai.bundle run`` as a user types it: exit codes, one line for a refusal, names checked."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from medtap.workflows import adapt, predict
from medtap.workflows.bundle import class_names
from tests.bundles.conftest import BUNDLES

REAL = {
    "dermoscopy": {
        "images": "isic2017/ISIC-2017_Training_Data",
        "masks": "isic2017/ISIC-2017_Training_Part1_GroundTruth",
        "data": "isic2017/ISIC-2017_Training_Data",
        "options": {"layout": "isic2017"},
        "suffix": ".png",
    },
    "chest_xray": {
        "images": "chest_xray/CXR_png",
        "masks": "chest_xray/masks",
        "data": "chest_xray/CXR_png",
        "options": {"mask_threshold": 127},
        "suffix": ".png",
    },
    "slices": {
        "images": "msd_hippocampus/imagesTr",
        "masks": "msd_hippocampus/labelsTr",
        "data": "dicom/mr_series",
        "options": {},
        "suffix": ".seg.dcm",
    },
}


ONE = pytest.mark.parametrize("bundle", BUNDLES[:1], ids=lambda path: path.name)
"""What is the same for all bundles, since `tests/bundles/test_alike.py` holds that their configs are."""


def run(bundle, config, *arguments):
    """Run a bundle's config in a process of its own."""
    file = str(bundle / "configs" / f"{config}.json")
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", file, "--bundle_root", str(bundle)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}  # sums depend on their number
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, env=environment, check=False
    )


def some(source, target, most=4):
    """A folder with a few of the images of a folder; a series is taken whole."""
    if any(path.is_dir() for path in source.iterdir()):
        return source
    target.mkdir()
    for path in sorted(source.iterdir())[:most]:
        (target / path.name).write_bytes(path.read_bytes())
    return target


@ONE
def test_inference_with_a_broken_image_ends_with_3(bundle, lesions, tmp_path):
    images, masks = lesions
    data = tmp_path / "data"
    data.mkdir()
    (data / "good.png").write_bytes((images / "case0.png").read_bytes())
    (data / "bad.png").write_bytes(b"no image")
    named = ("--support_images", images, "--support_masks", masks, "--shots", 2, "--passes", 1, "--device", "cpu")
    done = run(bundle, "inference", *named, "--classes", "a", "--dataset_dir", data, "--output_dir", tmp_path / "out")
    assert done.returncode == 3, done.stderr
    assert "1 cases done, 1 failed" in done.stderr
    assert "NvImgCodec" not in done.stderr
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == ["good.png"]


@pytest.mark.slow
@ONE
def test_misspelt_name_is_refused_in_one_line(bundle, tmp_path):
    (tmp_path / "arguments.json").write_text(json.dumps({"sede": 1}))
    done = run(bundle, "inference", "--suport_images", "x", "--args_file", tmp_path / "arguments.json")
    assert done.returncode == 2
    assert "'suport_images' (did you mean 'support_images'?)" in done.stderr
    assert "'sede' (did you mean 'seed'?)" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@ONE
def test_nothing_to_segment_is_refused_in_one_line(bundle, tmp_path):
    done = run(bundle, "inference", "--dataset_dir", tmp_path, "--output_dir", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"error: {tmp_path}")
    assert "Traceback" not in done.stderr


@ONE
def test_output_that_is_there_is_refused_by_the_names_of_a_bundle(bundle, lesions, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    done = run(bundle, "inference", "--dataset_dir", lesions[0], "--output_dir", tmp_path / "out", "--device", "cpu")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("choose another --output_dir, or give --overwrite to replace it")


@pytest.mark.slow
def test_evaluation(bundle, lesions, tmp_path):
    images, masks = lesions
    named = ("--dataset_dir", images, "--masks_dir", masks, "--output_dir", tmp_path / "out")
    done = run(bundle, "evaluate", *named)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["cases"] == 6
    assert "val_mean_dice" in done.stdout + done.stderr


@pytest.mark.slow
def test_command_of_the_documentation(data_root, bundle, tmp_path):
    """On real images it gives the masks of adapt and predict: for slices, of DICOM after support from NIfTI."""
    images, masks, data, options = (REAL[bundle.name][key] for key in ("images", "masks", "data", "options"))
    images, masks, data = data_root / images, data_root / masks, some(data_root / data, tmp_path / "data")
    named = [word for name, value in options.items() for word in (f"--{name}", value)]
    named += ["--support_images", images, "--support_masks", masks, "--shots", 5, "--device", "cpu"]
    done = run(bundle, "inference", *named, "--dataset_dir", data, "--output_dir", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    classes = class_names(json.loads((bundle / "configs" / "inference.json").read_text())["classes"])
    adapt(images, masks, tmp_path / "adapter", device="cpu", classes=classes, **options)
    predict(tmp_path / "adapter", data, tmp_path / "masks", device="cpu")
    suffix = REAL[bundle.name]["suffix"]
    predicted = sorted((tmp_path / "masks").rglob(f"*{suffix}"))
    assert predicted
    for path in predicted:
        assert path.read_bytes() == (tmp_path / "out" / path.relative_to(tmp_path / "masks")).read_bytes()
