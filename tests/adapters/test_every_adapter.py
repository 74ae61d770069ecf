"""What every adapter promises, whatever the network: an exact start, nothing else trained, and a way back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn
from transformers import ResNetBackbone, ResNetConfig, SwinBackbone, SwinConfig

from medtap.adaptation import take_a_peek
from medtap.adapted import load_adapted
from medtap.adapters import ADAPTERS, Adapter, AttachedAdapter, build_adapter
from medtap.defaults import NETWORK
from medtap.errors import OptionError
from medtap.networks.dense_attention import DenseAttentionSegmenter
from medtap.networks.encoders import PyramidEncoder
from medtap.networks.segmenter import FewShotSegmenter, share_weights
from medtap.networks.zoo import load_network, weights_sha256
from medtap.passes import SupportTraining
from medtap.tap_options import TapOptions
from tests.tiny import SIZE, random_images, support_set, tiny_network

STAGES: dict[str, Any] = {"out_features": [f"stage{index}" for index in range(1, 5)]}
OPTIONS = TapOptions(passes=2, learning_rate=1e-2, guard="none", precision="float32")
UNUSED = "swin.layernorm"  # SwinBackbone gives its maps norms of their own


def convnext() -> FewShotSegmenter:
    return tiny_network()


def swin() -> FewShotSegmenter:
    shape = {"image_size": SIZE, "embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 4], "window_size": 4}
    return of_backbone(lambda: SwinBackbone(SwinConfig(**shape, **STAGES)))


def resnet() -> FewShotSegmenter:
    shape = {"embedding_size": 8, "hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 1, 1]}
    return of_backbone(lambda: ResNetBackbone(ResNetConfig(**shape, **STAGES)))


def of_backbone(build: Callable[[], Any]) -> FewShotSegmenter:
    """A network of random weights, in evaluation and frozen."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = DenseAttentionSegmenter(PyramidEncoder(build(), detail_channels=8), width=16)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape))
    network.name, network.size = "tiny", SIZE
    return network.eval().requires_grad_(False)


@pytest.fixture(params=[convnext, swin, resnet], ids=lambda build: build.__name__)
def network(request: pytest.FixtureRequest) -> FewShotSegmenter:
    return request.param()


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> Adapter:
    return build_adapter(request.param)


def attach(adapter: Adapter, network: FewShotSegmenter, seed: int | None = None) -> AttachedAdapter:
    """Attach at an initial value, or with noise added to it so that the network gives something else."""
    attached = adapter.attach(adapter.part(network))
    attached.reset(Generator().manual_seed(1))
    if seed is not None:
        generator = Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in attached.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return attached


def logits(network: FewShotSegmenter) -> Tensor:
    support = support_set(2)
    return network(random_images(1, seed=3), support.images.unsqueeze(0), support.masks.unsqueeze(0).float())


def snapshot(module: nn.Module) -> tuple[object, ...]:
    """What a module is made of: its parameters' flags in their order; kinds, modes and attributes of its parts."""
    flags = [(name, id(parameter), parameter.requires_grad) for name, parameter in module.named_parameters()]
    parts = [(name, type(part), part.training, sorted(vars(part))) for name, part in module.named_modules()]
    return flags, parts, list(module.state_dict())


@torch.no_grad()
def test_the_start_is_the_network_itself(adapter: Adapter, network: FewShotSegmenter) -> None:
    expected = logits(network)
    attached = attach(adapter, network)
    torch.testing.assert_close(logits(network), expected, atol=1e-6, rtol=1e-6)
    assert list(attached.parameters())


def test_gradients_reach_what_is_trained_and_nothing_else(adapter: Adapter, network: FewShotSegmenter) -> None:
    network.requires_grad_(True)
    part = adapter.part(network)
    attached = attach(adapter, network, seed=5)
    trained = {id(parameter) for parameter in attached.parameters()}
    assert trained == {id(parameter) for parameter in part.parameters() if parameter.requires_grad}
    assert len(trained) == len(list(attached.parameters()))
    attached.train()
    (logits(network).square().mean() + attached.auxiliary_loss()).backward()
    reached = {id(parameter) for parameter in part.parameters() if parameter.grad is not None}
    assert reached <= trained
    missed = [name for name, layer in attached.layers().items() if reached.isdisjoint(map(id, layer))]
    assert all(name.endswith(UNUSED) for name in missed)


@torch.no_grad()
def test_merged_is_unmerged(adapter: Adapter, network: FewShotSegmenter) -> None:
    old, given = {name: value.clone() for name, value in network.state_dict().items()}, network.state_dict()
    plain = logits(network)
    attached = attach(adapter, network, seed=5)
    unmerged = logits(network)
    attached.merge()
    assert not torch.allclose(unmerged, plain, atol=1e-4)
    torch.testing.assert_close(logits(network), unmerged, atol=1e-4, rtol=1e-4)
    assert all(torch.equal(given[name], value) for name, value in old.items())
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not any(part.training for part in network.modules())


@torch.no_grad()
def test_detached_is_as_before(adapter: Adapter, network: FewShotSegmenter) -> None:
    next(network.encoder.parameters()).requires_grad_(True)
    before, sha256 = snapshot(network), weights_sha256(network)
    attach(adapter, network, seed=5).detach()
    assert snapshot(network) == before
    assert weights_sha256(network) == sha256


@torch.no_grad()
def test_detached_is_of_the_type_that_the_network_was_brought_to(adapter: Adapter) -> None:
    network = convnext()
    attached = attach(adapter, network, seed=5)
    network.double()
    attached.reset(Generator().manual_seed(1))
    attached.detach()
    expected = convnext().double().state_dict()
    assert network.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())


@torch.no_grad()
def test_values_and_initial_values_are_reproduced(adapter: Adapter, network: FewShotSegmenter) -> None:
    other = share_weights(network)
    first, second = attach(adapter, network, seed=5), attach(adapter, other)
    second.load_state_dict(first.state_dict())
    assert torch.equal(logits(network), logits(other))
    first.reset(Generator().manual_seed(7))
    with torch.random.fork_rng():
        torch.manual_seed(99)
        second.reset(Generator().manual_seed(7))
    assert all(torch.equal(first.state_dict()[name], value) for name, value in second.state_dict().items())


@pytest.mark.parametrize("network", [swin, resnet], indirect=True, ids=lambda build: build.__name__)
def test_a_peek_trains_it_and_it_can_be_saved(adapter: Adapter, network: FewShotSegmenter, tmp_path: Path) -> None:
    sha256, support, images = weights_sha256(network), support_set(2), random_images(1, seed=3)
    adapted = take_a_peek(network, support, adapter, OPTIONS)
    assert adapted.record is not None
    assert adapted.record.losses[1] != adapted.record.losses[0]
    assert weights_sha256(network) == sha256
    loaded = load_adapted(adapted.save(tmp_path / "adapted"), network)
    with torch.no_grad():
        assert torch.equal(loaded(images), adapted(images))
    again = take_a_peek(network, support, adapter, OPTIONS).save(tmp_path / "again")
    name = "adapter.safetensors"
    assert (again / name).read_bytes() == (tmp_path / "adapted" / name).read_bytes()


@pytest.mark.parametrize("method", ["lora", "dora", "ia3", "svf", "ssf", "adapter", "cobot", "layernorm", "decoder"])
def test_order_of_support_images_changes_nothing_where_a_pass_is_one_step(method: str) -> None:
    adapter, options = build_adapter(method, {"dropout": 0.0} if method == "adapter" else None), TapOptions(passes=3)
    losses, adapted = [], []
    for order in ([0, 1, 2, 3], [2, 0, 3, 1]):
        network, support = convnext(), support_set(4)
        attached = adapter.attach(adapter.part(network))
        training = SupportTraining(network, attached, 1, options, {})
        losses.append(training.run(support.images[order], support.masks[order]))
        adapted.append(logits(network).detach())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0][-1] != losses[0][0]
    torch.testing.assert_close(*adapted, atol=1e-4, rtol=1e-4)


def test_targets_without_a_layer_are_refused(adapter: Adapter) -> None:
    network = convnext()
    part = adapter.part(network)
    with pytest.raises(OptionError, match=r"match no layer of the encoder; found .+"):
        build_adapter(adapter.name, {"targets": "re:nowhere"}).attach(part)
    with pytest.raises(OptionError, match="no targets are called 'atention'; expected one of auto, attention"):
        build_adapter(adapter.name, {"targets": "atention"}).attach(part)


@pytest.mark.parametrize("method", sorted(set(ADAPTERS) - {"layernorm"}))
def test_the_default_network_takes_it(method: str) -> None:
    """All but ``layernorm``, which finds no norm there."""
    adapted = take_a_peek(load_network(NETWORK), support_set(3), build_adapter(method), OPTIONS)
    assert adapted(random_images(1)).isfinite().all()
