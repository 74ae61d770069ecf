"""Names and shapes of the published checkpoints, by small functions, and random weights of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

Shapes = dict[str, tuple[int, ...]]


def swin_shapes(image: int, embed: int, depths: Sequence[int], heads: Sequence[int], window: int) -> Shapes:
    """Of a Swin transformer with its authors' names, patches of 4 and 1000 classes, buffers included."""
    shapes: Shapes = {"patch_embed.proj.weight": (embed, 3, 4, 4), "patch_embed.proj.bias": (embed,)}
    shapes |= _norm("patch_embed.norm", embed)
    for stage, depth in enumerate(depths):
        width, side = embed * 2**stage, image // 4 // 2**stage
        for block in range(depth):
            name = f"layers.{stage}.blocks.{block}."
            if block % 2 and side > window:
                shapes[f"{name}attn_mask"] = ((side // window) ** 2, window**2, window**2)
            shapes |= _norm(f"{name}norm1", width) | _norm(f"{name}norm2", width)
            shapes[f"{name}attn.relative_position_bias_table"] = ((2 * window - 1) ** 2, heads[stage])
            shapes[f"{name}attn.relative_position_index"] = (window**2, window**2)
            shapes |= _linear(f"{name}attn.qkv", width, 3 * width) | _linear(f"{name}attn.proj", width, width)
            shapes |= _linear(f"{name}mlp.fc1", width, 4 * width) | _linear(f"{name}mlp.fc2", 4 * width, width)
        if stage < len(depths) - 1:
            shapes[f"layers.{stage}.downsample.reduction.weight"] = (2 * width, 4 * width)
            shapes |= _norm(f"layers.{stage}.downsample.norm", 4 * width)
    return shapes | _norm("norm", width) | _linear("head", width, 1000)


def resnet_shapes(stem: int, widths: Sequence[int], depths: Sequence[int]) -> Shapes:
    """Of a ResNet of bottlenecks with torchvision's names and 1000 classes."""
    shapes: Shapes = {"conv1.weight": (stem, 3, 7, 7)} | _batch_norm("bn1", stem)
    given = stem
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True), start=1):
        for block in range(depth):
            name, narrow = f"layer{stage}.{block}.", width // 4
            sizes = [(narrow, given, 1, 1), (narrow, narrow, 3, 3), (width, narrow, 1, 1)]
            for place, size in enumerate(sizes, start=1):
                shapes |= {f"{name}conv{place}.weight": size} | _batch_norm(f"{name}bn{place}", size[0])
            if block == 0:
                shapes |= {f"{name}downsample.0.weight": (width, given, 1, 1)} | _batch_norm(
                    f"{name}downsample.1", width
                )
            given = width
    return shapes | _linear("fc", given, 1000)


def dcama_shapes(channels: Sequence[int], depths: Sequence[int], encoder: Shapes) -> Shapes:
    """Of DCAMA on an encoder, whose last three stages have these channels and depths beside the first."""
    shapes: Shapes = {f"feature_extractor.{name}": shape for name, shape in encoder.items()}
    for level, width in enumerate(channels[1:]):
        for linear in range(2):
            shapes |= _linear(f"model.DCAMA_blocks.{level}.linears.{linear}", width, width)
        shapes[f"model.pe.{level}.pe"] = (1, 10000, width)
    kernels = {1: (3, 3, 3), 2: (5, 3, 3), 3: (5, 5, 3), 4: (3, 3, 3), 5: (3, 3, 3)}
    starts = {1: depths[3], 2: depths[2], 3: depths[1]}
    for block, sizes in kernels.items():
        widths = (starts[block], 16, 64, 128) if block in starts else (128,) * 4
        for place, kernel in enumerate(sizes):
            shapes |= _conv(f"model.conv{block}.{3 * place}", widths[place], widths[place + 1], kernel)
            shapes |= _norm(f"model.conv{block}.{3 * place + 1}", widths[place + 1])
    mixers = {1: (128 + 2 * (channels[0] + channels[1]), 128, 64), 2: (64, 64, 16), 3: (16, 16, 2)}
    for mixer, (given, between, returned) in mixers.items():
        shapes |= _conv(f"model.mixer{mixer}.0", given, between, 3) | _conv(
            f"model.mixer{mixer}.2", between, returned, 3
        )
    return shapes


def random_state(shapes: Shapes, seed: int = 0, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Weights that keep activations of order 1, positive variances, whole numbers of batches."""
    generator = Generator().manual_seed(seed)
    return {name: _random(name, shape, generator).to(dtype) for name, shape in shapes.items()}


def _random(name: str, shape: tuple[int, ...], generator: Generator) -> Tensor:
    if name.endswith(("num_batches_tracked", "relative_position_index")):
        return torch.zeros(shape)
    noise = torch.randn(shape, generator=generator)
    if name.endswith("running_var"):
        return 1 + 0.2 * noise.abs()
    if len(shape) > 1:
        return noise / max(1, noise[0].numel()) ** 0.5
    return 0.1 * noise + (1 if name.endswith("weight") else 0)


def _linear(name: str, given: int, returned: int) -> Shapes:
    return {f"{name}.weight": (returned, given), f"{name}.bias": (returned,)}


def _conv(name: str, given: int, returned: int, kernel: int) -> Shapes:
    return {f"{name}.weight": (returned, given, kernel, kernel), f"{name}.bias": (returned,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _batch_norm(name: str, width: int) -> Shapes:
    return _norm(name, width) | {
        f"{name}.running_mean": (width,),
        f"{name}.running_var": (width,),
        f"{name}.num_batches_tracked": (),
    }
