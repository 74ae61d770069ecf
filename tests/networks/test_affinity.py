"""Dense affinities: masks carried by likeness, with nothing but a backbone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import ResNetConfig

from medtap.networks import BUILDERS
from medtap.networks.affinity import AffinitySegmenter, carry
from medtap.networks.blocks import resnet_blocks
from medtap.networks.checkpoints import load_checkpoint
from tests.networks.official import random_state, resnet_shapes
from tests.networks.tiny_blocks import tiny_resnet


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


def test_the_last_maps_count() -> None:
    network, images = tiny_affinity(), torch.rand(1, 3, 64, 64)
    whole = network.encode(images)
    assert len(whole) == 3
    network.matched = 2
    assert all(torch.equal(*pair) for pair in zip(network.encode(images), whole[1:], strict=True))


def test_a_resnet_of_torchvision_is_all_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ResNetConfig(embedding_size=4, hidden_sizes=[8, 16, 16, 32], depths=[2, 1, 2, 1])
    monkeypatch.setitem(BUILDERS, "affinity-resnet50", lambda: AffinitySegmenter(resnet_blocks(config, (3, 4))))
    official = random_state(resnet_shapes(4, (8, 16, 16, 32), (2, 1, 2, 1)))
    torch.save(official, tmp_path / "resnet.pth")
    state = load_checkpoint("affinity", "resnet50", tmp_path / "resnet.pth").state_dict()
    stem = state["encoder.backbone.embedder.embedder.convolution.weight"]
    assert torch.equal(stem, official["conv1.weight"])
