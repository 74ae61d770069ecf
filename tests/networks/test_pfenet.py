"""PFENet, and what PFENet and BAM have in common as few-shot networks."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor

from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapters import Adapter, Lora, Svf
from medtap.errors import WeightsError
from medtap.networks import BUILDERS, load_network
from medtap.networks.bam import BamSegmenter
from medtap.networks.checkpoints import LAYOUTS, load_checkpoint
from medtap.networks.checkpoints.layout import translate, unknown_names
from medtap.networks.pfenet import PfenetSegmenter, pfenet_resnet50
from medtap.networks.prior_guidance import prior_masks
from medtap.networks.segmenter import FewShotSegmenter
from medtap.workflows.convert import convert
from tests.networks.official_prior_guided import (
    BINS,
    FULL,
    WIDTH,
    dilated_shapes,
    pfenet_shapes,
    random_weights,
    tiny_encoder,
)
from tests.networks.plain_prior_guided import plain_layers, plain_pfenet, plain_prior, plain_shot, resized
from tests.tiny import random_images, random_masks, support_set

SIDE = 65

NETWORKS: dict[str, Callable[[], FewShotSegmenter]] = {
    "pfenet": lambda: PfenetSegmenter(tiny_encoder(), WIDTH, BINS),
    "bam": lambda: BamSegmenter(tiny_encoder(), WIDTH),
    "bam-5-shot": lambda: BamSegmenter(tiny_encoder(), WIDTH, shots=5),
    "bam-ensemble": lambda: BamSegmenter(tiny_encoder(), WIDTH, base_classes=15),
}
every_network = pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)


def tiny(build: Callable[[], FewShotSegmenter], seed: int = 0) -> FewShotSegmenter:
    """One of random weights, in evaluation and frozen."""
    network = build()
    network.load_state_dict(random_weights({name: tensor.shape for name, tensor in network.state_dict().items()}, seed))
    network.size = SIDE
    return network.eval().requires_grad_(False)


def episode(shots: int, height: int = SIDE, width: int = SIDE) -> tuple[Tensor, Tensor, Tensor]:
    """A query [1,3,H,W] and shots [1,K,3,H,W] with their masks [1,K,H,W]."""
    masks = random_masks(shots, 1, height, width).float().unsqueeze(0)
    return random_images(1, height, width, 9), random_images(shots, height, width, 1).unsqueeze(0), masks


def official_pfenet() -> dict[str, Tensor]:
    return random_weights(dict(dilated_shapes()) | dict(pfenet_shapes()))


@torch.no_grad()
@pytest.mark.parametrize("shots", [1, 5])
@pytest.mark.parametrize(("height", "width"), [(65, 65), (50, 76)])
def test_official_weights_give_the_published_logits(shots: int, height: int, width: int) -> None:
    weights, network = official_pfenet(), tiny(NETWORKS["pfenet"])
    network.load_state_dict(translate(weights, LAYOUTS["pfenet"]["resnet50"]))
    query, support, masks = episode(shots, height, width)
    kept = [plain_shot(weights, plain_layers(weights, support[:, k]), masks[0, k]) for k in range(shots)]
    published = resized(plain_pfenet(weights, plain_layers(weights, query), kept), (height, width))
    torch.testing.assert_close(network(query, support, masks), published, atol=1e-4, rtol=1e-4)


def test_prior_mask_of_a_hand_made_case() -> None:
    query = torch.tensor([[2.0, 0.0, 3.0], [0.0, 5.0, 4.0]]).view(1, 2, 1, 3)
    support = torch.tensor([[1.0, 0.0], [0.0, 0.0]]).view(1, 1, 2, 2, 1)  # the second place is outside of the mask
    assert prior_masks(query, support).flatten().tolist() == pytest.approx([1, 0, 0.6], abs=1e-5)


@torch.no_grad()
def test_prior_masks_of_several_shots_and_queries() -> None:
    query, support = torch.randn(2, 4, 3, 5).relu(), torch.randn(2, 3, 4, 2, 3).relu()
    found = prior_masks(query, torch.nn.functional.normalize(support, dim=2))
    assert found.shape == (2, 3, 3, 5)
    expected = torch.stack([torch.stack([plain_prior(query[b], support[b, k]) for k in range(3)]) for b in range(2)])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@every_network
@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_empty_and_full_masks_give_finite_logits_and_gradients(
    build: Callable[[], FewShotSegmenter], fill: float
) -> None:
    query, support, masks = episode(1)
    support.requires_grad_()
    logits = tiny(build)(query, support, torch.full_like(masks, fill))
    logits.square().mean().backward()
    assert logits.isfinite().all()
    assert support.grad.isfinite().all()


def test_an_image_that_is_its_own_shot_gives_finite_gradients() -> None:
    network, (image, _, masks) = tiny(NETWORKS["bam-ensemble"]), episode(1)
    image.requires_grad_()
    network(image, image.unsqueeze(0), masks).square().mean().backward()
    assert image.grad.isfinite().all()


@torch.no_grad()
@every_network
def test_the_order_of_shots_is_no_matter(build: Callable[[], FewShotSegmenter]) -> None:
    network, (query, support, masks) = tiny(build), episode(5)
    turned = network(query, support.flip(1), masks.flip(1))
    torch.testing.assert_close(turned, network(query, support, masks), atol=1e-5, rtol=1e-4)


@torch.no_grad()
@every_network
def test_the_masked_support_is_seen_by_the_adapted_layer(build: Callable[[], FewShotSegmenter]) -> None:
    network, (_, support, masks) = tiny(build), episode(1)
    features = tuple(level.unsqueeze(0) for level in network.encode(support[0]))
    before = network.remember(features, masks)[1]
    network.encoder.layer4[1].conv3.weight.mul_(2)
    assert not torch.allclose(network.remember(features, masks)[1], before)


@every_network
@pytest.mark.parametrize("adapter", [Lora(rank=4, dropout=0.0), Svf()], ids=["lora", "svf"])
@pytest.mark.parametrize("shots", [1, 3])
def test_take_a_peek_lowers_the_support_loss(
    build: Callable[[], FewShotSegmenter], adapter: Adapter, shots: int
) -> None:
    options = TapOptions(passes=6, learning_rate=1e-2, guard="none", augment="none", views=0)
    adapted = take_a_peek(tiny(build), support_set(shots, size=SIDE), adapter, options)
    losses = adapted.record.losses
    assert losses[-1] < losses[0]


@torch.no_grad()
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@every_network
def test_an_adapted_network_is_traced_for_any_batch(build: Callable[[], FewShotSegmenter]) -> None:
    adapted = take_a_peek(tiny(build), support_set(2, size=SIDE), options=TapOptions(passes=0))
    traced = torch.jit.trace(adapted, random_images(1, SIDE), check_trace=False)
    given = random_images(2, SIDE, seed=3)
    torch.testing.assert_close(traced(given), adapted(given))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@every_network
def test_an_adapted_network_is_exported_to_onnx(build: Callable[[], FewShotSegmenter]) -> None:
    file = io.BytesIO()
    adapted = take_a_peek(tiny(build), support_set(5, size=SIDE), options=TapOptions(passes=0))
    torch.onnx.export(adapted, (random_images(1, SIDE),), file, dynamo=False)
    onnx.checker.check_model(onnx.load_from_string(file.getvalue()), full_check=True)


def test_published_names_and_shapes_are_the_network_s() -> None:
    rules = LAYOUTS["pfenet"]["resnet50"]
    shapes = dict(dilated_shapes(*FULL)) | dict(pfenet_shapes((512, 1024), 256, 4))
    assert len(shapes) == 365
    with torch.device("meta"):
        network = pfenet_resnet50()
        ours = translate({name: torch.empty(shape) for name, shape in shapes.items()}, rules)
    assert unknown_names(shapes, rules) == []
    found = {name: tensor.shape for name, tensor in network.state_dict().items()}
    assert found == {name: tensor.shape for name, tensor in ours.items()}
    assert network.size == 473


def test_the_head_has_the_published_size_with_its_classifiers_of_training() -> None:
    shapes = dict(pfenet_shapes((512, 1024), 256, 4))
    counts = {name: torch.Size(shape).numel() for name, shape in shapes.items()}
    assert sum(counts.values()) / 1e6 == pytest.approx(10.8, abs=0.05)
    used = sum(count for name, count in counts.items() if not name.startswith("inner_cls"))
    assert used / 1e6 == pytest.approx(8.46, abs=0.005)


def test_official_checkpoints_are_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILDERS, "pfenet-resnet50", lambda: tiny(NETWORKS["pfenet"]))
    weights, path = official_pfenet(), tmp_path / "train_epoch_1.pth"
    torch.save({"epoch": 1, "state_dict": {f"module.{key}": value for key, value in weights.items()}}, path)
    convert("pfenet", "resnet50", path, tmp_path / "pfenet")
    network = load_network(tmp_path / "pfenet")
    assert torch.equal(network.encoder.stem[0].weight, weights["layer0.0.weight"])
    assert torch.equal(network.enrichment.hand_down[1][0].weight, weights["alpha_conv.1.0.weight"])
    del weights["cls.3.bias"]
    torch.save({"state_dict": {**weights, "layer5.weight": torch.zeros(2)}}, path)
    with pytest.raises(WeightsError, match=r"1 unknown: layer5.weight; 1 missing: classifier.classify.2.bias"):
        load_checkpoint("pfenet", "resnet50", path)
