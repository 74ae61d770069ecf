"""A few-shot network and support sets small enough for tests: random weights, 64 px, milliseconds a pass."""

from __future__ import annotations

import io

import torch
from torch import Generator, Tensor, nn
from transformers import ConvNextV2Backbone, ConvNextV2Config

from medtap.networks.dense_attention import DenseAttentionSegmenter
from medtap.networks.encoders import PyramidEncoder
from medtap.support import SupportSet

SIZE = 64


def tiny_encoder() -> PyramidEncoder:
    """Four one-block stages of 8 to 32 channels."""
    stages = [f"stage{index}" for index in range(1, 5)]
    config = ConvNextV2Config(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], out_features=stages)
    return PyramidEncoder(ConvNextV2Backbone(config), detail_channels=8)


def tiny_network(seed: int = 0) -> DenseAttentionSegmenter:
    """A network of random weights, in evaluation and frozen; every parameter differs from its usual start."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = DenseAttentionSegmenter(tiny_encoder(), width=16)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape))
    network.name, network.size = "tiny", SIZE
    return network.eval().requires_grad_(False)


def as_torchscript(network: nn.Module) -> nn.Module:
    """A network of images traced with one of them, written and read again."""
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(network, random_images(1)), file)
    file.seek(0)
    return torch.jit.load(file)


def random_images(count: int, height: int = SIZE, width: int | None = None, seed: int = 0) -> Tensor:
    """Noise [count,3,H,W] in [0,1]."""
    return torch.rand((count, 3, height, width or height), generator=Generator().manual_seed(seed))


def random_masks(count: int, classes: int = 1, height: int = SIZE, width: int | None = None, seed: int = 0) -> Tensor:
    """Labels [count,H,W]: a disc of each class at a place of its own in each picture."""
    generator = Generator().manual_seed(seed)
    width = width or height
    rows, columns = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
    masks = torch.zeros((count, height, width), dtype=torch.int64)
    for mask in masks:
        for label in range(1, classes + 1):
            centre = torch.tensor([label / (classes + 1), 0.5]) + 0.2 * (torch.rand(2, generator=generator) - 0.5)
            mask[(rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < 0.15**2] = label
    return masks


def support_set(shots: int, classes: int = 1, size: int = SIZE, seed: int = 0) -> SupportSet:
    """Discs, brighter the higher their label, on noise."""
    masks = random_masks(shots, classes, size, seed=seed)
    images = 0.5 * random_images(shots, size, seed=seed + 1) + 0.5 * masks[:, None] / classes
    return SupportSet.from_tensors(images, masks, [f"class-{label}" for label in range(1, classes + 1)])
