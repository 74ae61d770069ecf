"""Self-support prototypes: the published algorithm, restated shot by shot and place by place."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F
from transformers import ResNetConfig, ResNetForImageClassification

from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapters import Lora
from medtap.errors import WeightsError
from medtap.networks import build_network, load_network, save_network
from medtap.networks.classes import recall_classes, remember_classes
from medtap.networks.segmenter import unfold_shots
from medtap.networks.shots import leave_one_out, select_shots
from medtap.networks.ssp import SspSegmenter, load_ssp, masked_mean, prototype_logits, self_support, ssp, ssp_card
from tests.networks.tiny_blocks import tiny_resnet
from tests.tiny import random_images, random_masks, support_set


def tiny_ssp(seed: int = 0) -> SspSegmenter:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = SspSegmenter(tiny_resnet((3,)), stride=16)
    network.size = 64
    return network.eval().requires_grad_(False)


def plain_ssp(query: Tensor, supports: Tensor, masks: Tensor) -> Tensor:
    """Logits [2,h,w] of a query [C,h,w] by supports [K,C,h,w] with masks [K,H,W]."""
    prototypes = []
    for inside in (masks, 1 - masks):
        means = []
        for support, mask in zip(supports, inside, strict=True):
            small = F.interpolate(mask[None, None], support.shape[1:], mode="bilinear", align_corners=True)[0, 0]
            means.append((support * small).sum((1, 2)) / (small.sum() + 1e-5))
        prototypes.append(torch.stack(means).mean(0))
    places = query.flatten(1).T
    logits = torch.stack([10 * F.cosine_similarity(places, p[None]) for p in reversed(prototypes)])
    background, foreground = logits.softmax(0)
    sure = [
        torch.nonzero(p > t).flatten() if (p > t).any() else p.topk(12).indices
        for p, t in ((foreground, 0.7), (background, 0.6))
    ]
    own_foreground, own_background = (places[found].mean(0) for found in sure)
    result = torch.zeros(2, len(places))
    for number, place in enumerate(places):
        chosen = places[sure[1]]
        weights = (2 * F.cosine_similarity(place[None], chosen)).softmax(0)
        against = 0.3 * own_background + 0.7 * (weights[:, None] * chosen).sum(0)
        result[0, number] = 10 * F.cosine_similarity(place, against, dim=0)
        result[1, number] = 10 * F.cosine_similarity(place, 0.5 * prototypes[0] + 0.5 * own_foreground, dim=0)
    return result.view(2, *query.shape[1:])


@pytest.mark.parametrize("shots", [1, 5])
@pytest.mark.parametrize("spread", [0.05, 1.0])  # next to no place is sure of alike features: the most probable ones
def test_logits_are_the_published_ones(shots: int, spread: float) -> None:
    torch.manual_seed(shots)
    features = 1 + spread * torch.randn(shots + 2, 6, 7, 5)
    masks = random_masks(shots, height=28, width=20).float()
    network = tiny_ssp()
    memory = tuple(kept.expand(2, -1, -1) for kept in network.remember((features[2:][None],), masks[None]))
    found = network.recall((features[:2],), memory)
    expected = torch.stack([plain_ssp(query, features[2:], masks) for query in features[:2]])
    expected = F.interpolate(expected, scale_factor=16, mode="bilinear", align_corners=True)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_mean_inside_of_a_mask_by_hand() -> None:
    maps = torch.tensor([[1.0, 2.0], [3.0, 6.0]]).view(1, 1, 1, 2, 2)
    masks = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).view(1, 1, 2, 2)
    torch.testing.assert_close(masked_mean(maps, masks), torch.tensor([[[3.5]]]), rtol=1e-4, atol=0)
    assert masked_mean(maps, torch.zeros_like(masks)).item() == 0


def test_cosines_by_hand() -> None:
    features = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
    background, foreground = (torch.tensor(p).view(1, 2, 1, 1) for p in ([0.0, 5.0], [6.0, 8.0]))
    torch.testing.assert_close(prototype_logits(features, background, foreground).flatten(), torch.tensor([8.0, 10.0]))


def test_sure_places_are_those_above_the_thresholds() -> None:
    features = torch.arange(4.0).view(1, 1, 2, 2)
    foreground = torch.tensor([0.1, 0.71, 0.69, 0.9]).view(1, 1, 2, 2)
    own, against, adaptive = self_support(features, torch.cat([1 - foreground, foreground], dim=1))
    assert (own.item(), against.item()) == (2.0, 0.0)
    assert torch.equal(adaptive, torch.zeros(1, 1, 2, 2))


def test_memory_is_two_prototypes_a_shot() -> None:
    network = tiny_ssp()
    memory = network.remember(unfold_shots(network.encode(random_images(3)), 1), random_masks(3).float()[None])
    assert [kept.shape for kept in memory] == [(1, 3, 16)] * 2


@pytest.mark.parametrize("shots", [1, 5, 15])
@pytest.mark.parametrize("classes", [1, 3])
def test_every_shot_has_a_gradient(shots: int, classes: int) -> None:
    network = tiny_ssp()
    (features,) = network.encode(random_images(shots))
    features.requires_grad_()
    masks = torch.randint(classes + 1, (shots, 64, 64), generator=torch.Generator().manual_seed(0))
    memory = remember_classes(network, (features,), masks, classes)
    logits = recall_classes(network, network.encode(random_images(2, 48, 81)), memory, torch.Size((48, 81)))
    assert logits.shape == (2, classes + 1, 48, 81)
    logits.square().sum().backward()
    assert all(features.grad[shot].any() for shot in range(shots))


def test_leave_one_out_equals_separate_passes() -> None:
    network = tiny_ssp()
    images, masks = random_images(4), random_masks(4).float()
    features = network.encode(images)
    memory = network.remember(unfold_shots(features, 1), masks.unsqueeze(0))
    at_once = network.recall(features, select_shots(memory, leave_one_out(4)))
    for shot in range(4):
        others = [other for other in range(4) if other != shot]
        alone = network(images[shot : shot + 1], images[others].unsqueeze(0), masks[others].unsqueeze(0))
        torch.testing.assert_close(at_once[shot : shot + 1], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shots", [1, 3])
def test_take_a_peek_lowers_the_support_loss(shots: int) -> None:
    options = TapOptions(passes=4, learning_rate=3e-3, augment="none", guard="none")
    losses = take_a_peek(tiny_ssp(), support_set(shots), Lora(rank=4), options).record.losses
    assert losses[-1] < losses[0]


def test_any_backbone() -> None:
    backbone = {"model_type": "dinov2", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    network = ssp(backbone, stride=14).eval()
    masks = random_masks(2, height=56, width=70).float().unsqueeze(0)
    logits = network(random_images(1, 56, 70), random_images(2, 56, 70).unsqueeze(0), masks)
    assert logits.shape == (1, 2, 56, 70)


def test_a_pretrained_backbone_is_loaded_and_kept(tmp_path: Path) -> None:
    config = ResNetConfig(embedding_size=4, hidden_sizes=[8, 8, 8], depths=[1, 1, 1])
    classifier = ResNetForImageClassification(config)
    classifier.save_pretrained(tmp_path / "hub")
    network = load_ssp(tmp_path / "hub")
    expected = classifier.resnet.state_dict()
    own = network.encoder.backbone.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in own.items())
    save_network(network, tmp_path / "kept", ssp_card(network), torch.float32)
    again = load_network(tmp_path / "kept")
    given = random_images(1), random_images(2).unsqueeze(0), random_masks(2).float().unsqueeze(0)
    assert torch.equal(again(*given), network(*given))


def test_other_folders_hold_no_backbone(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no backbone can be loaded; expected a folder with config.json and model"):
        load_ssp(tmp_path)
    config = ResNetConfig(embedding_size=4, hidden_sizes=[8, 8, 8], depths=[1, 1, 1])
    config.save_pretrained(tmp_path)
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"the weights are not those of the backbone; found none for 'embedder"):
        load_ssp(tmp_path)


def test_no_head_has_weights() -> None:
    with torch.device("meta"):
        network = build_network("ssp-resnet50")
    assert list(network.state_dict()) == [f"encoder.{name}" for name in network.encoder.state_dict()]
    assert sum(parameter.numel() for parameter in network.parameters()) == pytest.approx(8.54e6, rel=1e-3)
