"""The weights that training starts from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import ConvNextV2Config, ConvNextV2ForImageClassification, ResNetForImageClassification

from medtap.errors import WeightsError
from medtap.networks import BUILDERS, save_network
from medtap.networks.convnext import ConvNextV2
from medtap.networks.efficientnet_lite import EfficientNetLite, fold_published
from medtap.networks.hsnet import HsnetSegmenter
from medtap.networks.pfenet import PfenetSegmenter
from medtap.pretraining.start import start_from
from tests.networks.official_hypercorrelation import HEAD
from tests.networks.official_prior_guided import BINS, WIDTH, tiny_encoder
from tests.networks.published_efficientnet_lite import STAGES, published_weights
from tests.networks.tiny_blocks import blank_dcama, tiny_resnet


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The zoo knows DCAMA on a tiny ResNet."""
    monkeypatch.setitem(BUILDERS, "dcama-resnet50", lambda: blank_dcama("resnet50"))


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    values = other.state_dict()
    return all(torch.equal(value, values[name]) for name, value in one.state_dict().items())


def test_a_network_of_the_same_name_gives_all_its_weights(tmp_path: Path) -> None:
    given, network = blank_dcama("resnet50"), blank_dcama("resnet50")
    save_network(given, tmp_path, {}, torch.float32)
    assert not same(network.decoder, given.decoder)
    start_from(network, tmp_path)
    assert same(network, given)


def test_a_network_of_another_name_gives_its_encoder(tmp_path: Path) -> None:
    given = blank_dcama("resnet50")
    save_network(given, tmp_path, {}, torch.float32)
    network = HsnetSegmenter(tiny_resnet((2, 3, 4)), HEAD)
    head = {name: value.clone() for name, value in network.head.state_dict().items()}
    start_from(network, tmp_path)
    assert same(network.encoder, given.encoder)
    assert all(torch.equal(value, head[name]) for name, value in network.head.state_dict().items())


def test_a_classifier_of_transformers_gives_its_backbone(tmp_path: Path) -> None:
    network = blank_dcama("resnet50")
    classifier = ResNetForImageClassification(network.encoder.backbone.config)
    classifier.save_pretrained(tmp_path)
    assert not same(network.encoder.backbone, classifier.resnet)
    start_from(network, tmp_path)
    assert same(network.encoder.backbone, classifier.resnet)


def test_a_classifier_of_transformers_gives_our_own_convnext_its_weights(tmp_path: Path) -> None:
    config = ConvNextV2Config(hidden_sizes=[8, 16], depths=[1, 2], num_stages=2)
    classifier = ConvNextV2ForImageClassification(config)
    classifier.save_pretrained(tmp_path)
    network = blank_dcama("resnet50")
    network.encoder = torch.nn.Sequential(ConvNextV2([8, 16], [1, 2]))
    start_from(network, tmp_path)
    (own,), given = network.encoder, classifier.convnextv2.state_dict()
    found = {name: value for name, value in own.state_dict().items() if not name.startswith("hidden_states_norms")}
    assert all(torch.equal(value, given[name]) for name, value in found.items())


def test_a_published_efficientnet_lite_gives_the_backbone_and_leaves_the_laterals(tmp_path: Path) -> None:
    network, published = blank_dcama("resnet50"), published_weights()
    network.encoder = EfficientNetLite([4, 6, 8], STAGES)
    laterals = {name: value.clone() for name, value in network.encoder.laterals.state_dict().items()}
    torch.save(published, tmp_path / "lite.pth")
    start_from(network, tmp_path / "lite.pth")
    folded, own = fold_published(published, network.encoder), network.encoder.state_dict()
    assert all(torch.equal(own[name], value) for name, value in folded.items())
    assert all(torch.equal(own[f"laterals.{name}"], value) for name, value in laterals.items())
    del published["_conv_stem.weight"]
    torch.save(published, tmp_path / "lite.pth")
    with pytest.raises(WeightsError, match=r"lite\.pth.*none for '_conv_stem.weight'"):
        start_from(network, tmp_path / "lite.pth")
    with pytest.raises(WeightsError, match="no EfficientNet-Lite"):
        start_from(blank_dcama("resnet50"), tmp_path / "lite.pth")


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    save_network(blank_dcama("resnet50"), tmp_path, {}, torch.float32)
    pfenet = PfenetSegmenter(tiny_encoder(), WIDTH, BINS)
    with pytest.raises(WeightsError, match="the weights do not fit the network"):
        start_from(pfenet, tmp_path)
    (tmp_path / "network.json").unlink()
    with pytest.raises(WeightsError, match=r"no backbone of transformers.*network\.json.*medtap convert"):
        start_from(pfenet, tmp_path)


def test_missing_and_foreign_weights_are_refused(tmp_path: Path) -> None:
    network = blank_dcama("resnet50")
    with pytest.raises(WeightsError, match="no weights to start from can be loaded"):
        start_from(network, tmp_path)
    network.encoder.backbone.config.save_pretrained(tmp_path)
    save_file({"other": torch.zeros(1)}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match="the weights are not those of the backbone; found none for"):
        start_from(network, tmp_path)
