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
from medtap.networks.segmenter import unfold_shots
from medtap.networks.ssp import SspSegmenter, load_ssp, masked_mean, prototype_logits, self_support, ssp
from tests.networks.tiny_blocks import tiny_resnet
from tests.tiny import random_images, random_masks, support_set


def tiny_ssp(seed: int = 0, *, refined: bool = False) -> SspSegmenter:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = SspSegmenter(tiny_resnet((3,)), refined=refined)
    network.size = 64
    return network.eval().requires_grad_(False)


def plain_ssp(query: Tensor, supports: Tensor, masks: Tensor, *, refined: bool) -> Tensor:
    """Logits [2,h,w] of a query [C,h,w] by supports [K,C,h,w] with masks [K,H,W]."""
    places = query.flatten(1).T
    foreground, background = plain_prototypes(supports, masks)
    coarse = plain_cosines(places, background, foreground)
    own = plain_own(places, coarse, foreground)
    logits = plain_cosines(places, *own)
    if refined:
        again = plain_own(places, logits, foreground)
        each = zip((background, foreground), own, again, strict=True)
        third = plain_cosines(places, *(0.5 * a + 0.2 * b + 0.3 * c for a, b, c in each))
        logits = 0.7 * third + 0.3 * logits
    return logits.view(2, *query.shape[1:])


def plain_prototypes(supports: Tensor, masks: Tensor) -> list[Tensor]:
    """Mean prototypes [C] of foreground and background."""
    prototypes = []
    for inside in (masks, 1 - masks):
        means = []
        for support, mask in zip(supports, inside, strict=True):
            small = F.interpolate(mask[None, None], support.shape[1:], mode="bilinear", align_corners=True)[0, 0]
            means.append((support * small).sum((1, 2)) / (small.sum() + 1e-5))
        prototypes.append(torch.stack(means).mean(0))
    return prototypes


def plain_cosines(places: Tensor, background: Tensor, foreground: Tensor) -> Tensor:
    """Logits [2,N] of places [N,C] by prototypes [C] or [N,C]."""
    return torch.stack([10 * F.cosine_similarity(places, p.expand_as(places)) for p in (background, foreground)])


def plain_own(places: Tensor, logits: Tensor, prototype: Tensor) -> tuple[Tensor, Tensor]:
    """The query's prototypes of its background, place by place [N,C], and of its foreground [C]."""
    background, foreground = logits.softmax(0)
    sure = [
        torch.nonzero(p > t).flatten() if (p > t).any() else p.topk(12).indices
        for p, t in ((foreground, 0.7), (background, 0.6))
    ]
    own_foreground, own_background = (places[found].mean(0) for found in sure)
    chosen, against = places[sure[1]], []
    for place in places:
        weights = (2 * F.cosine_similarity(place[None], chosen)).softmax(0)
        against.append(0.3 * own_background + 0.7 * (weights[:, None] * chosen).sum(0))
    return torch.stack(against), 0.5 * prototype + 0.5 * own_foreground


@pytest.mark.parametrize("shots", [1, 5])
@pytest.mark.parametrize("spread", [0.05, 1.0])  # next to no place is sure of alike features: the most probable ones
@pytest.mark.parametrize("refined", [False, True])
def test_logits_are_the_published_ones(shots: int, spread: float, *, refined: bool) -> None:
    torch.manual_seed(shots)
    features = 1 + spread * torch.randn(shots + 2, 6, 7, 5)
    masks = random_masks(shots, height=28, width=20).float()
    network = tiny_ssp(refined=refined)
    memory = tuple(kept.expand(2, -1, -1) for kept in network.remember((features[2:][None],), masks[None]))
    found = network.recall((features[:2],), memory)
    expected = torch.stack([plain_ssp(query, features[2:], masks, refined=refined) for query in features[:2]])
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


@pytest.mark.parametrize("shots", [1, 3])
def test_take_a_peek_lowers_the_support_loss(shots: int) -> None:
    options = TapOptions(passes=4, learning_rate=3e-3, loss="focal", guard="none")
    losses = take_a_peek(tiny_ssp(), support_set(shots), Lora(rank=4), options).record.losses
    assert losses[-1] < losses[0]


def test_any_backbone() -> None:
    backbone = {"model_type": "dinov2", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    network = ssp(backbone).eval()
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
    save_network(network, tmp_path / "kept", {}, torch.float32)
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
