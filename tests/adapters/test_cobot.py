"""COBOT: its formulas, its parameter counts, merging, and where it goes."""

from __future__ import annotations

import copy
import io
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from transformers import ViTConfig, ViTModel

from medtap.adaptation import take_a_peek
from medtap.adapted import AdaptedSegmenter, load_adapted
from medtap.adapters import Cobot, ParallelAdapter
from medtap.adapters.bottleneck import Bottleneck
from medtap.adapters.cobot import choose_projections
from medtap.adapters.quaternion import hamilton_matrix
from medtap.errors import OptionError, WeightsError
from medtap.tap_options import TapOptions
from tests.adapters.transformer import give_values, tiny_sam, tiny_swin, tiny_vit
from tests.tiny import as_torchscript, random_images, support_set, tiny_encoder, tiny_network

KINDS = ("lora", "adapter")


def maps(encoder: nn.Module, height: int = 32, width: int = 32) -> list[Tensor]:
    with torch.no_grad():
        found = encoder(random_images(2, height, width))
    return list(found if isinstance(found, tuple) else found.get("feature_maps", [found[0]]))


@pytest.fixture(scope="module")
def vit_b() -> nn.Module:
    """ViT-B without the memory of one."""
    with torch.device("meta"):
        return ViTModel(ViTConfig(), add_pooling_layer=False)


@pytest.mark.parametrize(
    ("bottleneck", "own", "orchestration"),
    [
        ("lora", 147_456, {"coefficients": 96, "relation": 576, "gamma": 96, "quaternion": 96}),
        ("adapter", 322_752, {"coefficients": 192, "relation": 144, "gamma": 192, "quaternion": 768}),
    ],
)
def test_number_of_parameters_on_vit_b(
    vit_b: nn.Module, bottleneck: str, own: int, orchestration: dict[str, int]
) -> None:
    attached = Cobot(bottleneck).attach(vit_b)
    sizes = {name: parameter.numel() for name, parameter in attached.named_parameters()}
    attached.detach()
    for kind, count in orchestration.items():
        assert sum(size for name, size in sizes.items() if name.endswith(f".{kind}")) == count
    assert sum(sizes.values()) == own + sum(orchestration.values())


def test_queries_and_values_are_blocks_in_the_order_of_layers() -> None:
    blocks = choose_projections(tiny_vit(), "auto")
    assert [layer.rpartition(".")[2] for layer, _ in blocks] == ["q_proj", "v_proj"] * 2
    merged = choose_projections(tiny_sam(), "attention")
    assert [part for _, part in merged] == ["query", "value"] * 2
    assert all(layer.endswith(".qkv") for layer, _ in merged)
    assert len(choose_projections(tiny_swin(), "re:k_proj$")) == 4
    assert len(choose_projections(tiny_encoder(), "auto")) == 8


@torch.no_grad()
def test_lora_adds_what_the_formula_says() -> None:
    encoder, tokens = tiny_vit(), torch.randn((2, 6, 16), generator=Generator().manual_seed(0))
    attached = Cobot(width=8).attach(encoder)
    give_values(attached)
    values = attached.state_dict()
    layers = [layer for layer, _ in choose_projections(encoder, "auto")]
    shared = f"{layers[0]}.cobot.inner.shared."
    coefficients = values[f"{shared}coefficients"] @ values[f"{shared}relation"]
    for index, name in enumerate(layers):
        layer = encoder.get_submodule(name)
        scale = coefficients[:, index] + values[f"{name}.cobot.inner.gamma"]
        narrow = (tokens @ values[f"{name}.cobot.lora_A.weight"].T) * scale
        narrow = narrow @ hamilton_matrix(values[f"{name}.cobot.inner.quaternion"])
        expected = F.linear(tokens, layer.weight, layer.bias) + narrow @ values[f"{name}.cobot.lora_B.weight"].T
        torch.testing.assert_close(layer(tokens), expected)


@torch.no_grad()
def test_adapter_is_a_bottleneck_with_orchestration_inside() -> None:
    encoder, tokens = tiny_vit(), torch.randn((2, 6, 16), generator=Generator().manual_seed(0))
    attached = Cobot("adapter", width=8).attach(encoder)
    give_values(attached)
    own = encoder.get_submodule("encoder.layer.1.mlp").cobot
    narrow = own.inner(own.down(own.norm(tokens)))
    torch.testing.assert_close(own(tokens), own.up(narrow.relu()))
    assert own.inner.block == 1
    assert own.inner.shared is encoder.get_submodule("encoder.layer.0.mlp").cobot.inner.shared


@torch.no_grad()
def test_merged_projections_keep_their_keys() -> None:
    encoder = tiny_sam()
    layer, tokens = encoder.layers[0].attn.qkv, torch.randn((2, 3, 3, 16), generator=Generator().manual_seed(0))
    before, weight = layer(tokens), layer.weight
    held = weight.clone()
    attached = Cobot().attach(encoder)
    give_values(attached)
    changed = (layer(tokens) - before).flatten(0, -2).any(0)
    assert changed[:16].all()
    assert not changed[16:32].any()
    assert changed[32:].all()
    attached.merge()
    assert torch.equal(layer.weight[16:32], held[16:32])
    assert not torch.equal(layer.weight[:16], held[:16])
    assert torch.equal(weight, held)


ENCODERS = {
    "convnext": (tiny_encoder, (64, 96)),
    "vit": (tiny_vit, (24, 40)),
    "swin": (tiny_swin, (24, 40)),
    "sam": (tiny_sam, (32, 32)),
}


@torch.no_grad()
@pytest.mark.parametrize("bottleneck", KINDS)
@pytest.mark.parametrize("kind", ENCODERS)
def test_start_merge_and_detach_on_every_encoder(kind: str, bottleneck: str) -> None:
    build, size = ENCODERS[kind]
    encoder = build().eval()
    before, names = maps(encoder, *size), list(encoder.state_dict())
    attached = Cobot(bottleneck).attach(encoder)
    assert all(torch.equal(*pair) for pair in zip(maps(encoder, *size), before, strict=True))
    give_values(attached)
    attached.detach()
    assert all(torch.equal(*pair) for pair in zip(maps(encoder, *size), before, strict=True))
    assert list(encoder.state_dict()) == names
    attached = Cobot(bottleneck).attach(encoder)
    give_values(attached, scale=0.2)
    unmerged = maps(encoder, *size)
    attached.merge()
    assert not any(
        torch.allclose(*pair, atol=1e-3) for pair in zip(unmerged, before, strict=True) if kind != "convnext"
    )
    for pair in zip(maps(encoder, *size), unmerged, strict=True):
        torch.testing.assert_close(*pair, atol=1e-4, rtol=1e-4)
    assert (list(encoder.state_dict()) == names) == (bottleneck == "lora")


def test_gradients_reach_every_value_and_no_other() -> None:
    encoder = tiny_vit()
    attached = Cobot().attach(encoder)
    give_values(attached)
    encoder(random_images(1, 32)).feature_maps[-1].square().mean().backward()
    reached = {name for name, parameter in encoder.named_parameters() if parameter.grad is not None}
    assert reached == set(attached.state_dict())
    assert sum(len(layer) for layer in attached.layers().values()) == len(reached)
    assert len(attached.layers()) == 4


@torch.no_grad()
@pytest.mark.parametrize("bottleneck", KINDS)
def test_reset_is_drawn_from_the_generator_alone(bottleneck: str) -> None:
    attached = Cobot(bottleneck).attach(tiny_vit())
    give_values(attached)
    attached.reset(Generator().manual_seed(3))
    first = {name: value.clone() for name, value in attached.state_dict().items()}
    up = [value for name, value in first.items() if "lora_B" in name or ".up." in name]
    assert len(up) == 4
    assert not any(value.any() for value in up)
    torch.rand(1)
    attached.reset(Generator().manual_seed(3))
    assert all(torch.equal(first[name], value) for name, value in attached.state_dict().items())
    attached.reset(Generator().manual_seed(4))
    assert not all(torch.equal(first[name], value) for name, value in attached.state_dict().items())


def test_there_is_no_auxiliary_loss() -> None:
    assert Cobot().attach(tiny_vit()).auxiliary_loss() == 0.0


def adapted(adapter: Cobot | ParallelAdapter) -> AdaptedSegmenter:
    taken = TapOptions(passes=2, learning_rate=1e-2, guard="none")
    return take_a_peek(tiny_network(), support_set(3), adapter, taken)


def logits(network: AdaptedSegmenter) -> Tensor:
    with torch.no_grad():
        return network(random_images(2, 64, seed=9))


def test_the_merged_adapter_is_a_plain_bottleneck_saved_and_loaded(tmp_path: Path) -> None:
    network = adapted(Cobot("adapter"))
    branches = [part for part in network.modules() if isinstance(part, Bottleneck)]
    assert len(branches) == 8
    assert all(branch.inner is None for branch in branches)
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert torch.equal(logits(copy.deepcopy(network)), logits(network))
    loaded = load_adapted(network.save(tmp_path / "adapted"), tiny_network())
    assert torch.equal(logits(loaded), logits(network))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_torchscript_traces_what_stays_in_the_network() -> None:
    network = adapted(Cobot("adapter"))
    with torch.no_grad():
        torch.testing.assert_close(as_torchscript(network)(random_images(2, seed=9)), logits(network))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_onnx_exports_what_stays_in_the_network() -> None:
    file = io.BytesIO()
    torch.onnx.export(adapted(ParallelAdapter()), (random_images(1),), file, dynamo=False)
    assert len(file.getvalue()) > 10_000


def test_values_of_another_width_are_refused() -> None:
    attached = Cobot().attach(tiny_vit())
    with pytest.raises(WeightsError, match=r"the COBOT values do not fit the encoder, first at .*lora_A.weight"):
        attached.load_state_dict(Cobot(width=8).attach(tiny_vit()).state_dict())


def test_numbers_out_of_range_are_refused_all_at_once() -> None:
    with pytest.raises(
        OptionError, match="a bottleneck of lora or adapter, not 'conv'; a width that is a multiple of 4"
    ):
        Cobot("conv", width=6)
    with pytest.raises(OptionError, match=r"a width that is a multiple of 4, not 0; a dropout in \[0, 1\), not 1"):
        Cobot(width=0, dropout=1)
