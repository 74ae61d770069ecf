"""Every bundle is whole by MONAI's specification, and its configs say the same where they should."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ckpt_export, load, onnx_export, verify_metadata, verify_net_in_out
from monai.data import load_net_with_metadata
from monai.transforms import LoadImaged
from PIL import Image

from medtap.data import ScanReader, image_transforms
from medtap.networks import load_network
from medtap.networks.zoo import weights_sha256
from medtap.presets import use_preset
from medtap.record import AdaptationRecord
from medtap.workflows import evaluation_transforms
from medtap.workflows.transforms import to_labels
from tests.bundles.conftest import BUNDLES, ROOT

FILES = ("LICENSE", "configs/metadata.json", "configs/inference.json", "configs/evaluate.json", "models/model.pt")
LARGEST = 25 * 2**20
SCHEMA = ROOT.parent / "shared" / "layouts" / "meta_schema_20240725.json"
EVALUATION_ONLY = {"masks_dir", "key_metric"}
INFERENCE_ONLY = {"host_volumes"}
EVALUATION_DIFFERS = {"preprocessing", "dataset", "case_run", "handlers", "evaluator"}


def configs(bundle, *names):
    return [json.loads((bundle / "configs" / f"{name}.json").read_text()) for name in names]


def state_dict(bundle):
    return torch.load(bundle / "models" / "model.pt", weights_only=True)


def test_bundles_are_found():
    assert {"chest_xray", "dermoscopy", "slices"} <= {path.name for path in BUNDLES}


def test_bundle_is_whole(bundle):
    assert [name for name in (*FILES, "docs/README.md") if not (bundle / name).is_file()] == []


def test_model_is_small_and_in_half_precision(bundle):
    assert (bundle / "models" / "model.pt").stat().st_size < LARGEST
    assert {tensor.dtype for tensor in state_dict(bundle).values() if tensor.is_floating_point()} == {torch.float16}


def test_manifest_describes_the_model(bundle):
    record = AdaptationRecord.read(bundle / "models")
    content = (bundle / "models" / "model.pt").read_bytes()
    assert record.adapter_sha256 == hashlib.sha256(content).hexdigest()


def test_model_is_of_the_embedded_weights(bundle):
    record = AdaptationRecord.read(bundle / "models")
    assert record.base_sha256 == weights_sha256(load_network(record.network)), "make it anew: see CONTRIBUTING.md"


def test_defaults_fit_the_model(bundle):
    record = AdaptationRecord.read(bundle / "models")
    for config in configs(bundle, "inference", "evaluate", "make_model"):
        assert (config["network"], config["shots"], config["seed"]) == (
            record.network,
            record.shots,
            record.tap["seed"],
        )
        adapter, options = use_preset(
            config["preset"],
            config["method"],
            {"rank": config["rank"]},
            passes=config["passes"],
            augment=config["augment"],
            seed=config["seed"],
        )
        assert adapter.suited(load_network(record.network)).options() == record.adapter
        assert asdict(options) == record.tap
        assert config["classes"] == ",".join(record.classes)


@pytest.mark.filterwarnings("ignore")
def test_metadata_fits_the_schema(bundle):
    if not SCHEMA.is_file():
        pytest.skip(f"no transcription of MONAI's schema at {SCHEMA}")
    verify_metadata(meta_file=str(bundle / "configs" / "metadata.json"), filepath=str(SCHEMA))


def test_version_is_in_the_changelog(bundle):
    (metadata,) = configs(bundle, "metadata")
    assert metadata["version"] in metadata["changelog"]


def test_network_fits_the_metadata(bundle):
    folder = bundle / "configs"
    files = {"meta_file": str(folder / "metadata.json"), "config_file": str(folder / "inference.json")}
    verify_net_in_out(net_id="network_def", device="cpu", **files)


@pytest.mark.parametrize("config", ["inference", "evaluate"])
def test_properties_are_there_before_any_data_is(workflow, config, tmp_path):
    made = workflow(config, dataset_dir=str(tmp_path / "none"), output_dir=str(tmp_path / "out"))
    assert made.check_properties() == []
    assert not (tmp_path / "out").exists()


def test_load_gives_the_network_with_its_weights(bundle):
    network = load(name=bundle.name, bundle_dir=bundle.parent, workflow_type="inference", device="cpu")
    loaded, stored = network.state_dict(), state_dict(bundle)
    assert loaded.keys() == stored.keys()
    assert all(torch.equal(loaded[name], tensor.to(loaded[name].dtype)) for name, tensor in stored.items())


@pytest.mark.filterwarnings("ignore")
def test_checkpoint_is_exported_to_torchscript(bundle, tmp_path):
    config, exported = str(bundle / "configs" / "inference.json"), tmp_path / "model.ts"
    names = {"net_id": "network_def", "filepath": str(exported), "config_file": config, "bundle_root": str(bundle)}
    ckpt_export(use_trace=True, **names)
    traced, metadata, _ = load_net_with_metadata(str(exported))
    network = load(name=bundle.name, bundle_dir=bundle.parent, workflow_type="inference", device="cpu")
    image = torch.rand((1, 3, 256, 256), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(traced(image), network(image), rtol=1e-4, atol=1e-4)
    assert metadata["network_data_format"] == configs(bundle, "metadata")[0]["network_data_format"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_checkpoint_is_exported_to_onnx(bundle, tmp_path):
    folder, exported = bundle / "configs", tmp_path / "model.onnx"
    files = {"meta_file": str(folder / "metadata.json"), "config_file": str(folder / "inference.json")}
    onnx_export(net_id="network_def", filepath=str(exported), ckpt_file=str(bundle / "models" / "model.pt"), **files)
    assert exported.stat().st_size > 2**20


def test_inference_does_not_touch_labels(bundle):
    (config,) = configs(bundle, "inference")
    assert '"label"' not in json.dumps(config)


def test_evaluation_is_inference_with_labels_and_scores(bundle):
    inference, evaluation = configs(bundle, "inference", "evaluate")
    assert evaluation.keys() - inference.keys() == EVALUATION_ONLY
    assert inference.keys() - evaluation.keys() == INFERENCE_ONLY
    shared = inference.keys() & evaluation.keys()
    assert {name for name in shared if inference[name] != evaluation[name]} == EVALUATION_DIFFERS


def test_model_is_made_of_what_inference_adapts_to(bundle):
    inference, making = configs(bundle, "inference", "make_model")
    shared = making.keys() - {"run", "model"}
    assert {name: making[name] for name in shared} == {name: inference[name] for name in shared}


def test_expressions_are_few(bundle):
    for config in configs(bundle, "inference", "evaluate", "make_model"):
        assert json.dumps(config).count('"$') <= 7


def test_preprocessing_is_that_of_the_command_line(workflow, tmp_path):
    """Images of odd sizes go through the bundle's transforms and back as through medtap's own."""
    pixels = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    Image.fromarray(pixels[..., 0] // 128 * 255).save(tmp_path / "mask.png")
    item = {"image": str(tmp_path / "image.png"), "label": str(tmp_path / "mask.png")}
    for config, own in (("inference", image_transforms()), ("evaluate", evaluation_transforms("axial", classes=1))):
        made, expected = workflow(config, classes="one").preprocessing(item), own(item)
        assert made.keys() == expected.keys()
        torch.testing.assert_close(made["image"].as_tensor(), expected["image"].as_tensor(), rtol=0, atol=0)


def test_postprocessing_is_that_of_the_command_line(workflow, tmp_path):
    Image.fromarray(np.zeros((37, 53), np.uint8)).save(tmp_path / "image.png")
    made, own = workflow("inference", classes="one"), image_transforms()
    logits = torch.rand((2, 37, 53), generator=torch.Generator().manual_seed(0))
    read = made.preprocessing({"image": str(tmp_path / "image.png")})
    expected = to_labels(own)({**own({"image": str(tmp_path / "image.png")}), "pred": logits})
    assert torch.equal(made.postprocessing({**read, "pred": logits})["pred"], expected["pred"])


def test_readers_are_named(workflow):
    for config in ("inference", "evaluate"):
        (load_image,) = (step for step in workflow(config).preprocessing.transforms if isinstance(step, LoadImaged))
        assert isinstance(load_image._loader.readers[-1], ScanReader)  # those given come last, and are tried first
        assert load_image._loader.dtype is None


def test_option_that_monai_label_shows_is_the_one_that_acts(bundle):
    """BundleInferTask writes what a user chose below displayable_configs and parses again."""
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "inference.json"))
    assert parser.get_parsed_content("displayable_configs") == {"clean": "none"}
    steps = len(parser.get_parsed_content("postprocessing").transforms)
    parser["displayable_configs"].update({"clean": "both"})
    parser.parse()
    assert len(parser.get_parsed_content("postprocessing").transforms) == steps + 2


def test_config_is_read_with_its_metadata(bundle):
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "inference.json"))
    parser.read_meta(str(bundle / "configs" / "metadata.json"))
    channels = parser["_meta_"]["network_data_format"]["outputs"]["pred"]["channel_def"]
    assert list(channels.values()) == ["background", *parser["classes"].split(",")]
