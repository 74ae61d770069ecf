"""EfficientNet-Lite as published: batch norms not folded, padding as TensorFlow does, names as in its files."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from medtap.networks.efficientnet_lite import StageShape

STAGES = (StageShape(1, 3, 1, 1, 8), StageShape(2, 5, 2, 6, 16), StageShape(2, 3, 2, 6, 24))
STEM = 32


def published_weights(seed: int = 0) -> dict[str, Tensor]:
    """Random weights of ``STAGES`` with those of a classifier beside them."""
    generator = torch.Generator().manual_seed(seed)
    weights = {"_fc.weight": torch.zeros(10, 24), "_fc.bias": torch.zeros(10)}

    def add(convolution: str, norm: str, *shape: int) -> None:
        fan_in = shape[1] * shape[2] * shape[3]
        weights[f"{convolution}.weight"] = torch.randn(shape, generator=generator) / fan_in**0.5
        for name in ("weight", "running_var"):
            weights[f"{norm}.{name}"] = 0.5 + torch.rand(shape[0], generator=generator)
        for name in ("bias", "running_mean"):
            weights[f"{norm}.{name}"] = torch.randn(shape[0], generator=generator)

    add("_conv_stem", "_bn0", STEM, 3, 3, 3)
    for number, (given, stage, _) in enumerate(blocks()):
        wide, name = given * stage.expansion, f"_blocks.{number}."
        if stage.expansion > 1:
            add(f"{name}_expand_conv", f"{name}_bn0", wide, given, 1, 1)
        add(f"{name}_depthwise_conv", f"{name}_bn1", wide, 1, stage.kernel, stage.kernel)
        add(f"{name}_project_conv", f"{name}_bn2", stage.channels, wide, 1, 1)
    return weights


def blocks() -> list[tuple[int, StageShape, int]]:
    """Of each block the channels it is given, its stage and its stride."""
    found, given = [], STEM
    for stage in STAGES:
        for number in range(stage.depth):
            found.append((given, stage, stage.stride if number == 0 else 1))
            given = stage.channels
    return found


def published_maps(weights: dict[str, Tensor], images: Tensor) -> list[Tensor]:
    """What every block gives for images [B,3,H,W] in [0,1], and the stem before them."""

    def layer(maps: Tensor, convolution: str, norm: str, stride: int = 1, groups: int = 1) -> Tensor:
        kernel = weights[f"{convolution}.weight"]
        side = kernel.shape[-1]
        before, after = [], []
        for length in (maps.shape[3], maps.shape[2]):
            lack = max((-(-length // stride) - 1) * stride + side - length, 0)
            before.append(lack // 2)
            after.append(lack - lack // 2)
        padded = F.pad(maps, [before[0], after[0], before[1], after[1]])
        found = F.conv2d(padded, kernel, None, stride, groups=groups)
        told = (weights[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(found, *told, eps=1e-3)

    maps = [F.relu6(layer((images * 255 - 127) / 128, "_conv_stem", "_bn0", 2))]
    for number, (given, stage, stride) in enumerate(blocks()):
        name, inner = f"_blocks.{number}.", maps[-1]
        if stage.expansion > 1:
            inner = F.relu6(layer(inner, f"{name}_expand_conv", f"{name}_bn0"))
        wide = given * stage.expansion
        inner = F.relu6(layer(inner, f"{name}_depthwise_conv", f"{name}_bn1", stride, wide))
        inner = layer(inner, f"{name}_project_conv", f"{name}_bn2")
        maps.append(maps[-1] + inner if stride == 1 and given == stage.channels else inner)
    return maps
