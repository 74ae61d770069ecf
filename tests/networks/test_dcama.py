"""DCAMA: the published arithmetic, restated slowly on the official tensors."""

from __future__ import annotations

import io

import onnx
import pytest
import torch
from torch.nn import functional as F

from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapters import Lora
from medtap.networks import build_network
from medtap.networks.dcama import MaskAttention, row_positions
from medtap.networks.segmenter import unfold_shots
from tests.networks.plain_dcama import below, plain_dcama, plain_resnet, plain_swin
from tests.networks.tiny_blocks import DEPTHS, HEADS, SIZES, SWIN, tiny_dcama
from tests.tiny import random_images, random_masks, support_set

BACKBONES = ("swin-b", "resnet50")


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("shots", [1, 3])
def test_logits_are_the_published_ones(backbone: str, shots: int) -> None:
    network, official = tiny_dcama(backbone)
    size = SIZES[backbone]
    images, masks = random_images(shots + 1, size), random_masks(shots, height=size).float()
    encoder = below(official, "feature_extractor.")
    depths = DEPTHS[backbone]
    if backbone == "swin-b":
        maps = [plain_swin(encoder, image, depths, SWIN["heads"], SWIN["window"]) for image in images]
    else:
        maps = [plain_resnet(encoder, image, depths) for image in images]
    expected = plain_dcama(official, maps[0], maps[1:], masks, HEADS)
    with torch.no_grad():
        memory = network.remember(unfold_shots(network.encode(images[1:]), 1), masks[None])
        found = network.recall(network.encode(images[:1]), memory)[0]
    assert found.shape == (2, size, size)
    assert (found - expected).norm() / expected.norm() < 1e-4


def test_positions_are_sines_and_cosines_along_the_rows() -> None:
    positions = row_positions((4, 2, 3), torch.zeros(1))
    assert positions.shape == (4, 2, 3)
    torch.testing.assert_close(positions[:, 0, 0], torch.tensor([0.0, 1.0, 0.0, 1.0]))
    fourth = torch.tensor(4.0)
    expected = torch.stack([fourth.sin(), fourth.cos(), (fourth / 100).sin(), (fourth / 100).cos()])
    torch.testing.assert_close(positions[:, 1, 1], expected)


def test_one_support_token_gives_its_own_mask() -> None:
    attend = MaskAttention(8, heads=2)
    keys = attend.keys(torch.randn(1, 1, 8, 1, 1))
    found = attend(torch.randn(1, 8, 3, 4), keys, torch.full((1, 1, 1, 1), 0.7))
    torch.testing.assert_close(found, torch.full((1, 1, 3, 4), 0.7))


def test_equal_tokens_give_the_masks_mean() -> None:
    attend = MaskAttention(8, heads=2)
    torch.nn.init.zeros_(attend.key.weight)
    masks = torch.rand(1, 2, 3, 5)
    found = attend(torch.randn(1, 8, 4, 4), attend.keys(torch.randn(1, 2, 8, 3, 5)), masks)
    torch.testing.assert_close(found, masks.mean().expand(1, 1, 4, 4))


def test_a_query_of_another_grid_has_its_places_between_the_supports() -> None:
    attend = MaskAttention(8, heads=1).requires_grad_(False)
    for linear in (attend.query, attend.key):
        torch.nn.init.eye_(linear.weight).mul_(3)
        torch.nn.init.zeros_(linear.bias)
    own = row_positions((8, 3, 5), torch.zeros(1))
    between = F.interpolate(own.unsqueeze(0), size=(5, 4), mode="bilinear", align_corners=True)[0]
    masks = torch.rand(1, 1, 3, 5)
    scores = 9 * between.flatten(1).T @ own.flatten(1) / 8**0.5
    expected = (scores.softmax(1) @ masks.flatten()).view(1, 1, 5, 4)
    torch.testing.assert_close(
        attend(torch.zeros(1, 8, 5, 4), attend.keys(torch.zeros(1, 1, 8, 3, 5)), masks), expected
    )


def test_heads_have_the_published_sizes() -> None:
    with torch.device("meta"):
        swin, resnet = build_network("dcama-swin-b"), build_network("dcama-resnet50")
    assert parameters(swin) - parameters(swin.encoder) == pytest.approx(5.07e6, rel=1e-3)
    assert parameters(resnet) - parameters(resnet.encoder) == pytest.approx(14.2e6, rel=2e-3)
    assert (swin.size, resnet.size) == (384, 384)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(("height", "width"), [(48, 64), (67, 81), (33, 33)])
def test_any_size(backbone: str, height: int, width: int) -> None:
    network, _ = tiny_dcama(backbone)
    masks = random_masks(2, height=height, width=width).float().unsqueeze(0)
    logits = network(random_images(1, 64), random_images(2, height, width).unsqueeze(0), masks)
    assert logits.shape == (1, 2, 64, 64)
    assert logits.isfinite().all()


def test_memory_keeps_no_more_than_one_copy_of_what_is_used_and_the_skip() -> None:
    network, _ = tiny_dcama("swin-b")
    support = unfold_shots(network.encode(random_images(3)), 1)
    memory = network.remember(support, random_masks(3).float().unsqueeze(0))
    assert all(kept.shape[:2] == (1, 3) for kept in memory)
    skip, masks = support[2].numel(), sum(kept.numel() for kept in memory[2:5])
    assert sum(kept.numel() for kept in memory) == sum(level.numel() for level in support) + skip + masks


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("backbone", BACKBONES)
def test_torchscript_traces_it_adapted(backbone: str) -> None:
    network = take_a_peek(tiny_dcama(backbone)[0], support_set(2), Lora(rank=2), TapOptions(passes=1, guard="none"))
    traced = torch.jit.trace(network, random_images(1), check_trace=False)
    with torch.no_grad():
        torch.testing.assert_close(traced(random_images(2, seed=9)), network(random_images(2, seed=9)))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_onnx_exports_it() -> None:
    network, _ = tiny_dcama("resnet50")
    masks = random_masks(2).float().unsqueeze(0)
    file = io.BytesIO()
    torch.onnx.export(network, (random_images(1), random_images(2).unsqueeze(0), masks), file, dynamo=False)
    onnx.checker.check_model(onnx.load_from_string(file.getvalue()), full_check=True)
