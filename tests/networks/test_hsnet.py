"""HSNet, and what HSNet, PATNet and DMTNet have in common as few-shot networks."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from medtap.adaptation import TapOptions, take_a_peek
from medtap.errors import WeightsError
from medtap.networks import BUILDERS, pairs
from medtap.networks.checkpoints import load_checkpoint
from medtap.networks.checkpoints.hsnet import HSNET
from medtap.networks.checkpoints.layout import translate, unknown_names
from medtap.networks.classes import recall_classes, remember_classes
from medtap.networks.correlation import correlate, hypercorrelations, unit
from medtap.networks.dmtnet import DmtnetSegmenter, dmtnet_resnet50
from medtap.networks.hsnet import HsnetSegmenter, hsnet_resnet50
from medtap.networks.patnet import PatnetSegmenter, patnet_resnet50
from medtap.networks.segmenter import FewShotSegmenter
from tests.networks.official_hypercorrelation import HEAD, official_weights, tiny_blocks
from tests.networks.plain_hypercorrelation import plain_blocks, plain_hsnet
from tests.tiny import random_images, random_masks, support_set

NETWORKS = [HsnetSegmenter, PatnetSegmenter, DmtnetSegmenter]
every_network = pytest.mark.parametrize("kind", NETWORKS)


def tiny(kind: type[FewShotSegmenter], seed: int = 0) -> FewShotSegmenter:
    """One of random weights, in evaluation and frozen."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = kind(tiny_blocks(), HEAD)
    network.size = 64
    return network.eval().requires_grad_(False)


def one_shot(shots: int, height: int = 64, width: int = 64) -> tuple[Tensor, Tensor, Tensor]:
    """A query [1,3,H,W] and shots [1,K,3,H,W] with their masks [1,K,H,W]."""
    masks = random_masks(shots, 1, height, width).float().unsqueeze(0)
    return random_images(1, height, width, 9), random_images(shots, height, width, 1).unsqueeze(0), masks


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 128), (75, 98)])
def test_official_weights_give_the_published_logits(height: int, width: int) -> None:
    weights, rules = official_weights(), HSNET["resnet50"]
    network = tiny(HsnetSegmenter)
    assert unknown_names(weights, rules) == []
    network.load_state_dict(translate(weights, rules))
    query, support, masks = one_shot(1, height, width)
    published = plain_hsnet(weights, plain_blocks(weights, query), plain_blocks(weights, support[0]), masks[0])
    published = F.interpolate(published, (height, width), mode="bilinear", align_corners=True)
    torch.testing.assert_close(network(query, support, masks), published, atol=1e-5, rtol=1e-4)


def test_correlations_of_a_hand_made_case() -> None:
    query = torch.tensor([[3.0, 0.0], [4.0, 0.0]]).view(1, 2, 1, 2)  # pixel 0 is (3,4), pixel 1 is 0
    support = torch.tensor([[1.0, -1.0, 0.0], [0.0, 0.0, 2.0]]).view(1, 2, 3, 1)
    cosines = correlate(unit(query), unit(support))
    assert cosines.shape == (1, 1, 2, 3, 1)
    assert cosines.flatten().tolist() == pytest.approx([0.6, 0, 0.8, 0, 0, 0], abs=1e-4)


def test_hypercorrelations_stack_the_blocks_of_a_stage() -> None:
    maps = [torch.full((1, 1, side, side), float(block)) for block, side in enumerate((4, 4, 2, 1), start=1)]
    stages = hypercorrelations(maps, maps, (2, 1, 1))
    assert [tuple(stage.shape) for stage in stages] == [(1, 2, 4, 4, 4, 4), (1, 1, 2, 2, 2, 2), (1, 1, 1, 1, 1, 1)]
    assert stages[0][0, :, 0, 0, 0, 0].tolist() == [1, 4]


@torch.no_grad()
@every_network
@pytest.mark.parametrize("shots", [2, 5])
def test_logits_of_several_shots_are_the_mean_of_one_shot_logits(kind: type[FewShotSegmenter], shots: int) -> None:
    network = tiny(kind)
    query, support, masks = one_shot(shots)
    each = [network(query, support[:, k : k + 1], masks[:, k : k + 1]) for k in range(shots)]
    torch.testing.assert_close(network(query, support, masks), torch.stack(each).mean(0), atol=1e-5, rtol=1e-4)


@every_network
@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_empty_and_full_masks_give_finite_logits_and_gradients(kind: type[FewShotSegmenter], fill: float) -> None:
    query, support, masks = one_shot(1)
    support.requires_grad_()
    logits = tiny(kind)(query, support, torch.full_like(masks, fill))
    logits.square().mean().backward()
    assert logits.isfinite().all()
    assert support.grad.isfinite().all()


@torch.no_grad()
@every_network
def test_several_classes_and_queries(kind: type[FewShotSegmenter]) -> None:
    network, images, masks = tiny(kind), random_images(2), random_masks(2, 3)
    features = network.encode(images)
    memory = remember_classes(network, features, masks, 3)
    assert {kept.shape[:2] for kept in memory} == {(3, 2)}
    both = recall_classes(network, features, memory, images.shape[-2:])
    assert both.shape == (2, 4, 64, 64)
    one = network(images[1:], images.unsqueeze(0), (masks == 2).float().unsqueeze(0))
    torch.testing.assert_close(both[1, 2], one[0, 1] - one[0, 0], atol=1e-5, rtol=1e-4)


@every_network
@pytest.mark.parametrize("together", [1, 2, 4])
def test_parts_that_spare_memory_change_nothing(
    kind: type[FewShotSegmenter], together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def logits_and_gradient() -> tuple[Tensor, Tensor]:
        images = random_images(3).requires_grad_()
        logits = network(images, random_images(9, seed=1).unflatten(0, (3, 3)), masks)
        logits.square().mean().backward()
        return logits.detach(), images.grad

    network, masks, batches = tiny(kind), random_masks(9).unflatten(0, (3, 3)).float(), []
    network.head.register_forward_pre_hook(lambda _, given: batches.append(given[0][0].shape[0]))
    whole = logits_and_gradient()
    assert set(batches) == {9}
    batches.clear()
    monkeypatch.setattr(pairs, "_CELLS", together * 8**4)
    for found, expected in zip(logits_and_gradient(), whole, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)
    assert max(batches) <= together
    assert sum(batches) == 18, "each part is decoded once for the logits and once for the gradient"


@torch.no_grad()
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@every_network
def test_an_adapted_network_is_traced_for_any_batch(kind: type[FewShotSegmenter]) -> None:
    adapted = take_a_peek(tiny(kind), support_set(2), options=TapOptions(passes=0))
    traced = torch.jit.trace(adapted, random_images(1), check_trace=False)
    torch.testing.assert_close(traced(random_images(2, seed=3)), adapted(random_images(2, seed=3)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@every_network
def test_an_adapted_network_is_exported_to_onnx(kind: type[FewShotSegmenter]) -> None:
    file = io.BytesIO()
    adapted = take_a_peek(tiny(kind), support_set(2), options=TapOptions(passes=0))
    torch.onnx.export(adapted, (random_images(1),), file, dynamo=False)
    onnx.checker.check_model(onnx.load_from_string(file.getvalue()), full_check=True)


@pytest.mark.parametrize(
    ("name", "kind", "anchors"),
    [("hsnet", HsnetSegmenter, 0), ("patnet", PatnetSegmenter, 3), ("dmtnet", DmtnetSegmenter, 6)],
)
def test_official_checkpoints_are_converted(
    name: str, kind: type[FewShotSegmenter], anchors: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BUILDERS, f"{name}-resnet50", lambda: tiny(kind))
    weights, path = official_weights(anchors), tmp_path / "best_model.pt"
    torch.save({f"module.{key}": value for key, value in weights.items()}, path)
    network = load_checkpoint(name, "resnet50", path)
    assert torch.equal(network.head.squeeze32[3].support_conv.bias, weights["hpn_learner.encoder_layer4.3.conv2.bias"])
    del weights["hpn_learner.decoder2.2.bias"]
    torch.save({**weights, "reference_layer9.weight": torch.zeros(2, 3)}, path)
    with pytest.raises(WeightsError, match=r"1 unknown: reference_layer9.weight; 1 missing: head.classify.2.bias"):
        load_checkpoint(name, "resnet50", path)


@pytest.mark.parametrize(
    ("build", "millions"), [(hsnet_resnet50, 2.57), (patnet_resnet50, 2.58), (dmtnet_resnet50, 2.59)]
)
def test_the_head_has_the_published_size(build: Callable[[], FewShotSegmenter], millions: float) -> None:
    with torch.device("meta"):
        network = build()
    sizes = {name: value.numel() for name, value in network.named_parameters()}
    head = sum(size for name, size in sizes.items() if not name.startswith("encoder."))
    assert head / 1e6 == pytest.approx(millions, abs=0.005)
    assert network.size == 400
