"""The bundle that trains: it is whole, trains a tiny SAM off the disk and segments with what it trained."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from monai.bundle import ConfigWorkflow, verify_metadata
from PIL import Image

from medtap.adapted import load_adapted
from medtap.finetuning import RECIPES, FinetuneOptions
from medtap.networks.sam_sizes import SAM_SIZES
from tests.bundles.conftest import ROOT
from tests.workflows.finetuning_data import write_sam, write_spots

BUNDLE = ROOT / "bundles" / "sam_finetune"
LIKE = ROOT / "bundles" / "dermoscopy"
SCHEMA = ROOT.parent / "shared" / "layouts" / "meta_schema_20240725.json"
FAST = {"epochs": 2, "batch_size": 2, "learning_rate": 1e-2, "method": "lora", "classes": "spot", "device": "cpu"}


def config(name: str) -> dict[str, object]:
    return json.loads((BUNDLE / "configs" / f"{name}.json").read_text())


def workflow(name: str, **overrides: object) -> ConfigWorkflow:
    kind = "train" if name == "train" else "inference"
    file = str(BUNDLE / "configs" / f"{name}.json")
    made = ConfigWorkflow(file, workflow_type=kind, logging_file=False, bundle_root=str(BUNDLE), **overrides)
    made.initialize()
    return made


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> dict[str, Path]:
    """Folders of generated images, of the tiny SAM, and of what train.json leaves."""
    root = tmp_path_factory.mktemp("bundle")
    images, masks = write_spots(root / "data", 6)
    folders = {"dataset_dir": str(images), "masks_dir": str(masks), "output_dir": str(root / "models")}
    made = workflow("train", network=str(write_sam(root / "sam")), **folders, **FAST)
    assert made.check_properties() in (None, [])
    made.run()
    made.finalize()
    return {"images": images, "masks": masks, "sam": root / "sam", "models": root / "models"}


def test_it_is_whole() -> None:
    names = ("LICENSE", "configs/metadata.json", "configs/train.json", "configs/inference.json", "docs/README.md")
    assert [name for name in names if not (BUNDLE / name).is_file()] == []
    for name in ("LICENSE", "configs/logging.conf"):
        assert (BUNDLE / name).read_bytes() == (LIKE / name).read_bytes()


@pytest.mark.filterwarnings("ignore")
def test_metadata_fits_the_schema_and_the_other_bundles() -> None:
    metadata, like = config("metadata"), json.loads((LIKE / "configs" / "metadata.json").read_text())
    for key in ("schema", "version", "monai_version", "pytorch_version", "required_packages_version", "authors"):
        assert metadata[key] == like[key]
    assert metadata["version"] in metadata["changelog"]
    if not SCHEMA.is_file():
        pytest.skip(f"no transcription of MONAI's schema at {SCHEMA}")
    verify_metadata(meta_file=str(BUNDLE / "configs" / "metadata.json"), filepath=str(SCHEMA))


def test_it_trains_and_leaves_an_adapter(trained) -> None:
    record = load_adapted(trained["models"]).record
    assert (record.method, record.classes, record.network) == ("lora+decoder", ("spot",), str(trained["sam"]))
    assert len(record.losses) == 2


def test_it_segments_in_the_images_own_format(trained, tmp_path) -> None:
    folders = {"adapter_dir": str(trained["models"]), "dataset_dir": str(trained["images"])}
    made = workflow("inference", output_dir=str(tmp_path / "masks"), device="cpu", **folders)
    assert made.check_properties() in (None, [])
    made.run()
    written = sorted((tmp_path / "masks").glob("*.png"))
    assert [path.stem for path in written] == [f"case{index}" for index in range(6)]
    assert np.asarray(Image.open(written[0])).shape == (40, 60)
    assert (tmp_path / "masks" / "report.html").is_file()


def test_options_of_segmenting_reach_the_network(trained, tmp_path) -> None:
    folders = {"adapter_dir": str(trained["models"]), "dataset_dir": str(trained["images"])}
    made = workflow("inference", output_dir=str(tmp_path / "masks"), device="cpu", subsets=2, **folders)
    assert made.parser.get_parsed_content("network_def").subsets == 2


def test_inference_is_that_of_the_other_bundles_but_for_its_model() -> None:
    own, like = config("inference"), json.loads((LIKE / "configs" / "inference.json").read_text())
    assert own.keys() - like.keys() == {"adapter_dir"}
    differing = {name for name in own.keys() & like.keys() if own[name] != like[name]}
    assert differing == {"network_def", "model", "inferer", "postprocessing", "handlers", "segmenting"}
    assert '"label"' not in json.dumps(own)


def test_options_of_the_config_are_those_of_the_training() -> None:
    train = config("train")
    options = FinetuneOptions.__dataclass_fields__.keys() & train.keys()
    assert options >= {"epochs", "batch_size", "learning_rate", "loss", "flips", "held_out", "seed"}
    assert {name for name in options if train[name] is not None} == {"seed"}
    assert train["recipe"] in RECIPES
    assert train["network"] in SAM_SIZES


def test_options_of_the_readme_are_those_of_the_configs() -> None:
    readme = (BUNDLE / "docs" / "README.md").read_text()
    told = {
        name for cell in re.findall(r"^\| (`\w+`.*?) \|", readme, re.MULTILINE) for name in re.findall(r"\w+", cell)
    }
    train, inference = config("train"), config("inference")
    assert told <= train.keys() | inference.keys()
    for values in (train, inference):
        defaults = {name for name, value in values.items() if not isinstance(value, (dict, list))}
        named = {name for name in defaults if not str(values[name]).startswith("$@parts")}
        assert named - told <= {"bundle_root", "host_volumes", "clean"}
    assert all(recipe in readme for recipe in RECIPES)


def command_words(trained: dict[str, Path], out: Path) -> list[str]:
    named = {"dataset_dir": trained["images"], "masks_dir": trained["masks"], "output_dir": out}
    named |= {"network": trained["sam"], "bundle_root": BUNDLE, "config_file": BUNDLE / "configs" / "train.json"}
    return [word for name, value in {**named, **FAST}.items() for word in (f"--{name}", str(value))]


@pytest.mark.slow
def test_command_of_the_readme_on_two_processes(trained, tmp_path) -> None:
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    words = [*command_words(trained, tmp_path / "models"), "--held_out", "0.4"]  # each process scores an image at least
    done = subprocess.run(
        [*start, "-m", "monai.bundle", "run", *words], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    assert load_adapted(tmp_path / "models").classes == ("spot",)


@pytest.mark.slow
def test_misspelt_name_is_refused(trained, tmp_path) -> None:
    words = [*command_words(trained, tmp_path / "models"), "--epoch", "3"]
    done = subprocess.run(
        [sys.executable, "-m", "monai.bundle", "run", *words], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 2
    assert "'epoch' (did you mean 'epochs'?)" in done.stderr
    assert not (tmp_path / "models").exists()
