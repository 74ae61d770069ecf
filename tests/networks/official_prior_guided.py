"""Names and shapes of the published checkpoints of PFENet and BAM, on an encoder small enough for tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from medtap.networks.dilated_resnet import DilatedResNet
from tests.networks.official import random_state

Shapes = Iterator[tuple[str, tuple[int, ...]]]

STEM, WIDTHS, DEPTHS, WIDTH, BINS = 4, (12, 16, 24, 32), (1, 2, 2, 2), 8, (8, 5, 3)
FULL = (64, (256, 512, 1024, 2048), (3, 4, 6, 3))


def tiny_encoder() -> DilatedResNet:
    """Bottlenecks of 12 to 32 channels."""
    return DilatedResNet(STEM, WIDTHS, DEPTHS)


def random_weights(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, Tensor]:
    """Random weights of these shapes under which a ReLU keeps its maps' variance."""
    state = random_state(dict(shapes), seed)
    return {name: 2**0.5 * tensor if tensor.ndim > 1 else tensor for name, tensor in state.items()}


def dilated_shapes(stem: int = STEM, widths: Sequence[int] = WIDTHS, depths: Sequence[int] = DEPTHS) -> Shapes:
    """Of a dilated ResNet."""
    for place, (given, width) in enumerate(((3, stem), (stem, stem), (stem, 2 * stem))):
        yield f"layer0.{3 * place}.weight", (width, given, 3, 3)
        yield from _norm(f"layer0.{3 * place + 1}", width)
    given = 2 * stem
    for layer, (width, depth) in enumerate(zip(widths, depths, strict=True), start=1):
        for block in range(depth):
            yield from _bottleneck(f"layer{layer}.{block}", given, width)
            given = width


def pfenet_shapes(channels: Sequence[int] = WIDTHS[1:3], width: int = WIDTH, levels: int = len(BINS)) -> Shapes:
    """Of PFENet's head."""
    yield from _guidance(channels, width)
    for level in range(levels):
        yield f"init_merge.{level}.0.weight", (width, 2 * width + 1, 1, 1)
        for place in (0, 2):
            yield f"beta_conv.{level}.{place}.weight", (width, width, 3, 3)
        yield from _classifier(f"inner_cls.{level}", width)
    for level in range(levels - 1):
        yield f"alpha_conv.{level}.0.weight", (width, 2 * width, 1, 1)
    yield from _last("", levels * width, width)


def bam_shapes(channels: Sequence[int] = WIDTHS[1:], width: int = WIDTH, classes: int = 15, shots: int = 1) -> Shapes:
    """Of BAM's base learner, meta learner and ensemble."""
    narrow = channels[2] // 4
    for level in range(4):
        yield f"learner_base.0.features.{level}.1.weight", (narrow, channels[2], 1, 1)
        yield from _norm(f"learner_base.0.features.{level}.2", narrow)
    yield "learner_base.1.0.weight", (narrow, 2 * channels[2], 3, 3)
    yield from _norm("learner_base.1.1", narrow)
    yield from _layer("learner_base.1.4", (classes + 1, narrow, 1, 1))
    yield from _guidance(channels[:2], width)
    yield "init_merge.0.weight", (width, 2 * width + 1, 1, 1)
    for branch, kernel in enumerate((1, 1, 3, 3, 3)):
        yield from _layer(f"ASPP_meta.layer6_{branch}.0", (width, width, kernel, kernel))
    yield from _last("_meta", 5 * width, width)
    yield "gram_merge.weight", (1, 2, 1, 1)
    yield "cls_merge.weight", (1, 2, 1, 1)
    if shots > 1:
        yield from _layer("kshot_rw.0", (2, shots, 1, 1))
        yield from _layer("kshot_rw.2", (shots, 2, 1, 1))


def _guidance(channels: Sequence[int], width: int) -> Shapes:
    for part in ("down_query", "down_supp"):
        yield f"{part}.0.weight", (width, sum(channels), 1, 1)


def _last(ending: str, given: int, width: int) -> Shapes:
    yield f"res1{ending}.0.weight", (width, given, 1, 1)
    for place in (0, 2):
        yield f"res2{ending}.{place}.weight", (width, width, 3, 3)
    yield from _classifier(f"cls{ending}", width)


def _classifier(name: str, width: int) -> Shapes:
    yield f"{name}.0.weight", (width, width, 3, 3)
    yield from _layer(f"{name}.3", (2, width, 1, 1))


def _bottleneck(name: str, given: int, width: int) -> Shapes:
    narrow = width // 4
    for place, shape in enumerate(((narrow, given, 1, 1), (narrow, narrow, 3, 3), (width, narrow, 1, 1)), start=1):
        yield f"{name}.conv{place}.weight", shape
        yield from _norm(f"{name}.bn{place}", shape[0])
    if name.endswith(".0"):
        yield f"{name}.downsample.0.weight", (width, given, 1, 1)
        yield from _norm(f"{name}.downsample.1", width)


def _layer(name: str, shape: tuple[int, ...]) -> Shapes:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def _norm(name: str, width: int) -> Shapes:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (width,)
    yield f"{name}.num_batches_tracked", ()
