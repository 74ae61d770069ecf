"""Names and shapes of the published checkpoints of HSNet, PATNet and DMTNet, on an encoder small enough for tests."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Generator, Tensor
from transformers import ResNetConfig

from medtap.networks.blocks import BlockEncoder, resnet_blocks

Weights = dict[str, Tensor]
Shapes = Iterator[tuple[str, tuple[int, ...]]]

STEM, WIDTHS, DEPTHS, HEAD = 4, (8, 16, 24, 32), (1, 2, 3, 2), (4, 8, 8)
KERNELS = {"4": (3, 3, 3), "3": (5, 3, 3), "2": (5, 5, 3)}


def tiny_blocks() -> BlockEncoder:
    """A ResNet of the bottlenecks and widths above, read at its last three stages."""
    config = ResNetConfig(embedding_size=STEM, hidden_sizes=list(WIDTHS), depths=list(DEPTHS))
    return resnet_blocks(config, (2, 3, 4))


def official_weights(anchors: int = 0, seed: int = 0) -> Weights:
    """Random weights under the published names: ``backbone``, ``hpn_learner`` and so many ``reference_layerN``."""
    generator = Generator().manual_seed(seed)
    return {name: _drawn(name, shape, generator) for name, shape in official_shapes(anchors)}


def _drawn(name: str, shape: tuple[int, ...], generator: Generator) -> Tensor:
    if not shape:
        return torch.tensor(7)
    drawn = torch.randn(shape, generator=generator)
    if len(shape) > 1:
        return drawn / drawn[0].numel() ** 0.5
    return 1 + 0.1 * drawn if name.endswith(("weight", "running_var")) else 0.1 * drawn


def official_shapes(
    anchors: int,
    stem: int = STEM,
    widths: tuple[int, ...] = WIDTHS,
    depths: tuple[int, ...] = DEPTHS,
    head: tuple[int, ...] = HEAD,
) -> Shapes:
    """Every name with its shape; the numbers of ResNet-50 give the published checkpoints themselves."""
    yield "backbone.conv1.weight", (stem, 3, 7, 7)
    yield from _norm("backbone.bn1", stem)
    inputs = (stem, *widths)
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True), start=1):
        for block in range(depth):
            yield from _bottleneck(f"backbone.layer{stage}.{block}", width if block else inputs[stage - 1], width)
    yield from _layer("backbone.fc", (1000, widths[-1]))
    for number in range(1, anchors + 1):
        yield from _layer(f"reference_layer{number}", (2, widths[1 + (number - 1) % 3]))
    yield from _learner(depths, head)


def _learner(depths: tuple[int, ...], head: tuple[int, ...]) -> Shapes:
    middle, width = head[1:]
    for stage, kernels in KERNELS.items():
        yield from _block(f"hpn_learner.encoder_layer{stage}", (depths[int(stage) - 1], *head), kernels)
    for name in ("4to3", "3to2"):
        yield from _block(f"hpn_learner.encoder_layer{name}", (width,) * 4, (3, 3, 3))
    for name, out, given in (
        ("1.0", width, width),
        ("1.2", middle, width),
        ("2.0", middle, middle),
        ("2.2", 2, middle),
    ):
        yield from _layer(f"hpn_learner.decoder{name}", (out, given, 3, 3))


def _layer(name: str, shape: tuple[int, ...]) -> Shapes:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def _norm(name: str, width: int) -> Shapes:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (width,)
    yield f"{name}.num_batches_tracked", ()


def _bottleneck(name: str, given: int, width: int) -> Shapes:
    narrow = width // 4
    for number, shape in enumerate(((narrow, given, 1, 1), (narrow, narrow, 3, 3), (width, narrow, 1, 1)), start=1):
        yield f"{name}.conv{number}.weight", shape
        yield from _norm(f"{name}.bn{number}", shape[0])
    if name.endswith(".0"):
        yield f"{name}.downsample.0.weight", (width, given, 1, 1)
        yield from _norm(f"{name}.downsample.1", width)


def _block(name: str, widths: tuple[int, ...], kernels: tuple[int, ...]) -> Shapes:
    for index, kernel in enumerate(kernels):
        for part in ("conv1", "conv2"):
            yield from _layer(f"{name}.{3 * index}.{part}", (widths[index + 1], widths[index], kernel, kernel))
        yield from _layer(f"{name}.{3 * index + 1}", (widths[index + 1],))
