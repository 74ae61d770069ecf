"""Dense affinities: masks carried by likeness, with nothing but a backbone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import ResNetConfig

from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapters import Lora
from medtap.networks import BUILDERS
from medtap.networks.affinity import AffinitySegmenter, carry
from medtap.networks.blocks import resnet_blocks
from medtap.networks.checkpoints import load_checkpoint
from medtap.networks.classes import recall_classes, remember_classes
from medtap.networks.segmenter import unfold_shots
from medtap.networks.shots import leave_one_out, select_shots
from tests.networks.official import random_state, resnet_shapes
from tests.networks.tiny_blocks import tiny_resnet
from tests.tiny import random_images, random_masks, support_set


def tiny_affinity() -> AffinitySegmenter:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = AffinitySegmenter(tiny_resnet((3, 4)))
    network.size = 64
    return network.eval().requires_grad_(False)


def test_a_mask_is_carried_place_by_place() -> None:
    generator = torch.Generator().manual_seed(0)
    query, keys = torch.randn(1, 5, 2, 3, generator=generator), torch.randn(1, 2, 5, 2, 2, generator=generator)
    masks = torch.rand(1, 2, 1, 2, 2, generator=generator)
    found = carry(query, torch.nn.functional.normalize(keys, dim=2), masks)
    for row in range(2):
        for column in range(3):
            weights, total = [], 0.0
            for shot in range(2):
                for y in range(2):
                    for x in range(2):
                        alike = torch.cosine_similarity(query[0, :, row, column], keys[0, shot, :, y, x], dim=0)
                        weights.append(torch.exp(20 * alike))
                        total += weights[-1] * masks[0, shot, 0, y, x]
            assert found[0, 0, row, column] == pytest.approx(float(total / sum(weights)), abs=1e-5)


@pytest.mark.parametrize(("shots", "classes"), [(1, 1), (5, 3)])
def test_logits_and_gradients_of_every_shot(shots: int, classes: int) -> None:
    network, masks = tiny_affinity(), random_masks(shots, classes)
    images = random_images(shots).requires_grad_()
    memory = remember_classes(network, network.encode(images), masks, classes)
    logits = recall_classes(network, network.encode(random_images(2, seed=3)), memory, masks.shape[-2:])
    assert logits.shape == (2, classes + 1, 64, 64)
    logits[:, 1:].square().mean().backward()
    assert images.grad is not None
    assert bool((images.grad.flatten(1).abs().sum(1) > 0).all())


@torch.no_grad()
def test_leave_one_out_is_what_separate_forwards_give() -> None:
    network, images, masks = tiny_affinity(), random_images(3), random_masks(3).float()
    features = network.encode(images)
    memory = network.remember(unfold_shots(features, 1), masks[None])
    shots = leave_one_out(3)
    at_once = network.recall(features, select_shots(memory, shots))
    for number, others in enumerate(shots):
        alone = network.decode(
            tuple(level[number, None] for level in features),
            unfold_shots(network.encode(images[others]), 1),
            masks[None, others],
        )
        size = alone.shape[-2:]
        both = torch.nn.functional.interpolate(at_once[number, None], size=size, mode="bilinear", align_corners=False)
        torch.testing.assert_close(both, alone, atol=1e-4, rtol=1e-4)


def test_adapting_lowers_the_loss() -> None:
    options = TapOptions(passes=6, learning_rate=1e-2, guard="none", precision="float32")
    losses = take_a_peek(tiny_affinity(), support_set(3), Lora(rank=4), options).record.losses
    assert losses[-1] < losses[0]


def test_a_resnet_of_torchvision_is_all_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ResNetConfig(embedding_size=4, hidden_sizes=[8, 16, 16, 32], depths=[2, 1, 2, 1])
    monkeypatch.setitem(BUILDERS, "affinity-resnet50", lambda: AffinitySegmenter(resnet_blocks(config, (3, 4))))
    official = random_state(resnet_shapes(4, (8, 16, 16, 32), (2, 1, 2, 1)))
    torch.save(official, tmp_path / "resnet.pth")
    state = load_checkpoint("affinity", "resnet50", tmp_path / "resnet.pth").state_dict()
    stem = state["encoder.backbone.embedder.embedder.convolution.weight"]
    assert torch.equal(stem, official["conv1.weight"])
