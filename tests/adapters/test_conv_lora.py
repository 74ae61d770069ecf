"""Conv-LoRA against slow re-statements: the branch, its experts, tokens and maps, and what it leaves alone."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from transformers import SamVisionConfig
from transformers.models.sam.modeling_sam import SamVisionEncoder

from medtap.adaptation import take_a_peek
from medtap.adapted import AdaptedSegmenter, load_adapted
from medtap.adapters import ConvLora
from medtap.adapters.conv_lora import ConvMixture
from medtap.adapters.grids import TokenGrid
from medtap.errors import OptionError
from medtap.tap_options import TapOptions
from tests.adapters.transformer import give_values, tiny_sam, tiny_swin, tiny_vit
from tests.tiny import as_torchscript, random_images, support_set, tiny_encoder, tiny_network


def mixture(options: ConvLora, grid: tuple[int, int] | None = None, width: tuple[int, int] = (5, 7)) -> ConvMixture:
    """A branch whose every value differs from its start."""
    told = TokenGrid()
    told.size = grid
    with torch.random.fork_rng():
        torch.manual_seed(0)
        branch = ConvMixture(width, options, told)
        with torch.no_grad():
            for parameter in branch.parameters():
                parameter.copy_(torch.randn(parameter.shape))
    return branch.eval()


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=Generator().manual_seed(seed))


def restated(branch: ConvMixture, image: Tensor) -> Tensor:
    """The branch of one image [h,w,C], place by place as the paper has it."""
    low = torch.einsum("hwc,rc->hwr", image, branch.lora_A.weight)
    chosen = int((low.mean((0, 1)) @ branch.gate.clean).argmax())
    height, width, _ = low.shape
    large = low.permute(2, 0, 1)[None]
    if chosen > 0:
        large = F.interpolate(large, size=(height * (chosen + 1), width * (chosen + 1)), mode="bicubic")
    expert = branch.experts[chosen]
    large = F.gelu(F.conv2d(large, expert.weight, expert.bias, padding=1))
    small = large if chosen == 0 else F.interpolate(large, size=(height, width), mode="bicubic")
    return branch.scale * torch.einsum("hwr,or->hwo", low + small[0].permute(1, 2, 0), branch.lora_B.weight)


@torch.no_grad()
@pytest.mark.parametrize("experts", [1, 2, 5])
def test_branch_is_the_paper_s_image_by_image(experts: int) -> None:
    branch, images = mixture(ConvLora(rank=3, alpha=6.0, experts=experts)).double(), normal(9, 4, 6, 5).double()
    expected = torch.stack([restated(branch, image) for image in images])
    torch.testing.assert_close(branch(images), expected)
    assert branch.scale == 2.0
    chosen = branch.gate(branch.lora_A(images).mean((1, 2))).argmax(1)
    assert len(chosen.unique()) >= min(experts, 3)


@torch.no_grad()
@pytest.mark.parametrize("prefix", [0, 1, 3])
def test_tokens_are_a_map_and_those_before_it_pass_by_the_experts(prefix: int) -> None:
    branch, images = mixture(ConvLora(experts=3), grid=(4, 6)), normal(5, 4, 6, 5)
    before = normal(5, prefix, 5, seed=1)
    found = branch(torch.cat([before, images.flatten(1, 2)], dim=1))
    torch.testing.assert_close(found[:, prefix:], branch(images).flatten(1, 2))
    torch.testing.assert_close(found[:, :prefix], branch.scale * branch.lora_B(branch.lora_A(before)))


@torch.no_grad()
def test_vectors_pass_by_the_experts() -> None:
    branch, vectors = mixture(ConvLora()), normal(4, 5)
    torch.testing.assert_close(branch(vectors), branch.scale * branch.lora_B(branch.lora_A(vectors)))


@torch.no_grad()
@pytest.mark.parametrize("stride", [1, 2])
def test_pointwise_convolutions_give_what_linear_layers_give(stride: int) -> None:
    encoder, maps = nn.Sequential(nn.Conv2d(5, 7, 1, stride=stride)).eval(), normal(3, 5, 8, 6)
    before = encoder(maps)
    give_values(ConvLora(experts=2, targets="pointwise").attach(encoder))
    added = encoder[0].conv_lora(maps[:, :, ::stride, ::stride].permute(0, 2, 3, 1))
    torch.testing.assert_close(encoder(maps), before + added.permute(0, 3, 1, 2))


@torch.no_grad()
def test_only_chosen_experts_work() -> None:
    branch, worked = mixture(ConvLora(experts=4)), []
    branch.gate.clean.zero_()
    branch.gate.clean[:, 2] = branch.lora_A(normal(6, 4, 4, 5)).mean((0, 1, 2))
    for index, expert in enumerate(branch.experts):
        expert.register_forward_hook(lambda _, inputs, __, index=index: worked.append((index, len(inputs[0]))))
    images = normal(6, 4, 4, 5)
    chosen = branch.gate(branch.lora_A(images).mean((1, 2))).argmax(1)
    branch(images)
    assert worked == [(index, int((chosen == index).sum())) for index in chosen.unique().tolist()]


ENCODERS = {
    "convnext": (tiny_encoder, (64, 96)),
    "vit": (tiny_vit, (24, 40)),
    "swin": (tiny_swin, (24, 40)),
    "sam": (tiny_sam, (32, 32)),
}


def maps(encoder: nn.Module, height: int = 32, width: int = 32) -> list[Tensor]:
    found = encoder(random_images(2, height, width))
    return list(found if isinstance(found, tuple) else found.get("feature_maps", [found[0]]))


@torch.no_grad()
def still_maps(encoder: nn.Module, height: int, width: int) -> list[Tensor]:
    """Maps without gradients: torch's attention rounds differently with them."""
    return maps(encoder, height, width)


def hooks(encoder: nn.Module) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in encoder.modules())


@pytest.mark.parametrize("targets", ["auto", "pointwise"])
@pytest.mark.parametrize("kind", ENCODERS)
def test_every_layer_of_every_encoder_is_changed(kind: str, targets: str) -> None:
    build, size = ENCODERS[kind]
    encoder = build().eval()
    before = still_maps(encoder, *size)
    hooked = hooks(encoder)
    attached = ConvLora(experts=3, targets=targets).attach(encoder)
    assert all(torch.equal(*pair) for pair in zip(still_maps(encoder, *size), before, strict=True))
    give_values(attached)
    attached.train()
    loss = sum(level.square().mean() for level in maps(encoder, *size))
    (loss + attached.auxiliary_loss()).backward()
    untrained = [name for name, value in attached.named_parameters() if value.grad is None and "experts" not in name]
    assert untrained == []
    attached.detach()
    assert all(torch.equal(*pair) for pair in zip(still_maps(encoder, *size), before, strict=True))
    assert hooks(encoder) == hooked


@torch.no_grad()
@pytest.mark.parametrize(("build", "windows"), [(tiny_swin, {16, 4}), (tiny_sam, {2 * 2 * 2, 2})])
def test_each_window_has_an_expert_of_its_own(build: Callable[[], nn.Module], windows: set[int]) -> None:
    encoder, chosen_for = build(), set()
    ConvLora().attach(encoder)
    for part in encoder.modules():
        if isinstance(part, ConvMixture):
            part.gate.register_forward_hook(lambda _, __, weights: chosen_for.add(len(weights)))
    maps(encoder, 32, 64 if build is tiny_swin else 32)
    assert chosen_for == windows


def test_auxiliary_loss_is_of_the_last_forward_pass_in_training() -> None:
    encoder = tiny_vit()
    attached = ConvLora(experts=4, balance=0.5).attach(encoder)
    give_values(attached)
    maps(encoder)
    assert attached.auxiliary_loss() == 0.0
    attached.train()
    losses = []
    with torch.random.fork_rng():
        for seed in (0, 0, 1):
            torch.manual_seed(seed)
            maps(encoder)
            losses.append(attached.auxiliary_loss().item())
    assert losses[0] == losses[1] != losses[2]
    gates = [part.gate.imbalance for part in encoder.modules() if isinstance(part, ConvMixture)]
    assert len(gates) == 6
    assert losses[2] == pytest.approx(0.5 * sum(gates).item())
    attached.train(False)
    assert attached.auxiliary_loss() == 0.0


@pytest.mark.parametrize("gate", ["paper", "differentiable"])
def test_the_task_s_gradient_of_the_gate(gate: str) -> None:
    encoder = tiny_vit()
    attached = ConvLora(gate=gate, experts=2).attach(encoder)
    give_values(attached)
    sum(level.square().mean() for level in maps(encoder)).backward()
    gates = [value.grad for name, value in attached.named_parameters() if name.endswith("gate.clean")]
    assert len(gates) == 6
    assert all((gradient is not None and gradient.any()) == (gate == "differentiable") for gradient in gates)


@torch.no_grad()
def test_reset_starts_as_the_paper_does_from_the_generator_alone() -> None:
    attached = ConvLora(rank=3).attach(tiny_vit())
    give_values(attached)
    attached.reset(Generator().manual_seed(3))
    first = {name: value.clone() for name, value in attached.state_dict().items()}
    for name, value in first.items():
        drawn = name.endswith("lora_A.weight") or ("experts" in name and name.endswith("weight"))
        bound = 1 / value[0].numel() ** 0.5  # Kaiming uniform with a = sqrt 5
        assert 0.7 * bound < value.abs().max() <= bound if drawn else not value.any()
    torch.rand(1)
    attached.reset(Generator().manual_seed(3))
    assert all(torch.equal(first[name], value) for name, value in attached.state_dict().items())
    attached.reset(Generator().manual_seed(4))
    assert not all(torch.equal(first[name], value) for name, value in attached.state_dict().items())


def test_attaching_draws_nothing_from_the_process_s_generator() -> None:
    encoder, state = tiny_vit(), torch.get_rng_state()
    ConvLora().attach(encoder)
    assert torch.equal(torch.get_rng_state(), state)


def test_number_of_parameters_beyond_lora_s_on_vit_h() -> None:
    config = SamVisionConfig(
        hidden_size=1280, num_hidden_layers=32, num_attention_heads=16, global_attn_indexes=[7, 15, 23, 31]
    )
    with torch.device("meta"):
        encoder = SamVisionEncoder(config)
    attached = ConvLora(rank=3, experts=8).attach(encoder)
    lora = 32 * 3 * (1280 + 3 * 1280)
    assert sum(parameter.numel() for parameter in attached.parameters()) == lora + 23_040


def adapted(**options: object) -> AdaptedSegmenter:
    """The tiny network with Conv-LoRA, trained for two passes."""
    taken = TapOptions(passes=2, learning_rate=1e-2, guard="none")
    return take_a_peek(tiny_network(), support_set(3), ConvLora(experts=3, **options), taken)


def logits(network: AdaptedSegmenter) -> Tensor:
    with torch.no_grad():
        return network(random_images(2, 64, seed=9))


def test_merging_freezes_it_where_it_is() -> None:
    network = adapted()
    mixtures = [part for part in network.modules() if isinstance(part, ConvMixture)]
    assert len(mixtures) == 8
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not any(part.training for part in network.modules())
    assert any(part.lora_B.weight.any() for part in mixtures)
    assert torch.equal(logits(copy.deepcopy(network)), logits(network))


def test_saved_and_loaded_is_exactly_the_same(tmp_path: Path) -> None:
    network = adapted(gate="differentiable")
    loaded = load_adapted(network.save(tmp_path / "adapted"), tiny_network())
    assert torch.equal(logits(loaded), logits(network))
    assert loaded.state_dict().keys() == network.state_dict().keys()


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_torchscript_traces_it_for_any_batch() -> None:
    network = adapted()
    traced = as_torchscript(network)
    with torch.no_grad():
        torch.testing.assert_close(traced(random_images(2, seed=9)), logits(network))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@torch.no_grad()
def test_a_trace_holds_every_choice() -> None:
    branch = mixture(ConvLora(experts=4), grid=(4, 6))
    tokens = normal(9, 25, 5)
    traced = torch.jit.trace(branch, tokens[:1])
    torch.testing.assert_close(traced(tokens), branch(tokens))
    assert len(branch.gate(branch.lora_A(tokens[:, 1:]).mean(1)).argmax(1).unique()) > 1


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_onnx_exports_it() -> None:
    file = io.BytesIO()
    torch.onnx.export(adapted(), (random_images(1),), file, dynamo=False, input_names=["image"])
    model = onnx.load_from_string(file.getvalue())
    onnx.checker.check_model(model, full_check=True)
    assert sum(node.op_type == "ArgMax" for node in model.graph.node) == 8


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@torch.no_grad()
def test_onnx_computes_the_same_of_tokens() -> None:
    branch, tokens, file = mixture(ConvLora(alpha=1.0, experts=3), grid=(4, 6)), normal(7, 25, 5), io.BytesIO()
    torch.onnx.export(branch, (tokens,), file, dynamo=False, input_names=["tokens"])
    (found,) = ReferenceEvaluator(onnx.load_from_string(file.getvalue())).run(None, {"tokens": tokens.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), branch(tokens), atol=1e-4, rtol=1e-4)


class CoarsestMap(nn.Module):
    """A backbone that gives one tensor, as a trace must."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        return self.backbone(images).feature_maps[-1]


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@torch.no_grad()
@pytest.mark.parametrize("build", [tiny_vit, tiny_swin])
def test_transformers_are_traced_with_their_grids(build: Callable[[], nn.Module]) -> None:
    network = CoarsestMap(build())
    attached = ConvLora(experts=2).attach(network)
    give_values(attached)
    attached.merge()
    traced = torch.jit.trace(network, random_images(1, 24, 40), check_trace=False)
    images = random_images(3, 24, 40, seed=4)
    torch.testing.assert_close(traced(images), network(images), atol=1e-5, rtol=1e-5)


def test_numbers_out_of_range_are_refused_all_at_once() -> None:
    with pytest.raises(OptionError, match=r"a rank of at least 1, not 0; an alpha above 0, not 0; at least 1 expert"):
        ConvLora(rank=0, alpha=0, experts=0)
    with pytest.raises(OptionError, match=r"a dropout in \[0, 1\), not 1; a gate of paper or differentiable, not 'g'"):
        ConvLora(dropout=1, gate="g")
    with pytest.raises(OptionError, match="a balance of at least 0, not -1"):
        ConvLora(balance=-1)


def test_a_rank_above_every_layer_s_is_refused() -> None:
    with pytest.raises(OptionError, match="a rank of 17 is above"):
        ConvLora(rank=17).attach(tiny_vit())
