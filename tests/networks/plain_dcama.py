"""DCAMA's published forward pass, restated slowly on tensors of official names: one query, one place at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
State = dict[str, Tensor]


def below(state: State, prefix: str) -> State:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def plain_resnet(state: State, image: Tensor, depths: Sequence[int]) -> list[list[Tensor]]:
    """The bottlenecks' maps [C,h,w] of an image [3,H,W] by stage, each before its last ReLU."""
    x = F.conv2d((image - MEAN) / STD, state["conv1.weight"], stride=2, padding=3)[None]
    x = F.max_pool2d(_batch_norm(state, "bn1", x).relu(), 3, 2, 1)
    maps: list[list[Tensor]] = []
    for stage, depth in enumerate(depths, start=1):
        maps.append([])
        for block in range(depth):
            name, stride = f"layer{stage}.{block}.", 2 if stage > 1 and block == 0 else 1
            y = _batch_norm(state, f"{name}bn1", F.conv2d(x, state[f"{name}conv1.weight"])).relu()
            y = F.conv2d(y, state[f"{name}conv2.weight"], stride=stride, padding=1)
            y = F.conv2d(_batch_norm(state, f"{name}bn2", y).relu(), state[f"{name}conv3.weight"])
            y = _batch_norm(state, f"{name}bn3", y)
            if block == 0:
                shortcut = F.conv2d(x, state[f"{name}downsample.0.weight"], stride=stride)
                x = _batch_norm(state, f"{name}downsample.1", shortcut)
            maps[-1].append((y + x)[0])
            x = (y + x).relu()
    return maps


def _batch_norm(state: State, name: str, x: Tensor) -> Tensor:
    running = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    return F.batch_norm(x, *running, state[f"{name}.weight"], state[f"{name}.bias"])


def plain_swin(
    state: State, image: Tensor, depths: Sequence[int], heads: Sequence[int], window: int
) -> list[list[Tensor]]:
    """The blocks' maps [C,h,w] of an image [3,H,W] by stage, each before patch merging."""
    patches = F.conv2d((image - MEAN) / STD, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], 4)
    x = _layer_norm(state, "patch_embed.norm", patches.permute(1, 2, 0))
    maps: list[list[Tensor]] = []
    for stage, depth in enumerate(depths):
        maps.append([])
        for block in range(depth):
            name = f"layers.{stage}.blocks.{block}."
            side = min(x.shape[:2])
            shift = window // 2 if block % 2 and side > window else 0
            x = x + _windows(state, name, _layer_norm(state, f"{name}norm1", x), heads[stage], min(window, side), shift)
            hidden = F.gelu(_linear(state, f"{name}mlp.fc1", _layer_norm(state, f"{name}norm2", x)))
            x = x + _linear(state, f"{name}mlp.fc2", hidden)
            maps[-1].append(x.permute(2, 0, 1))
        if stage < len(depths) - 1:
            merged = torch.cat([x[0::2, 0::2], x[1::2, 0::2], x[0::2, 1::2], x[1::2, 1::2]], dim=2)
            name = f"layers.{stage}.downsample."
            x = _layer_norm(state, f"{name}norm", merged) @ state[f"{name}reduction.weight"].T
    return maps


def _windows(state: State, name: str, x: Tensor, heads: int, window: int, shift: int) -> Tensor:
    """Attention of [h,w,C] inside shifted windows; what was rolled over an edge does not see the rest."""
    region = torch.zeros(x.shape[:2])
    for row, column in product(range(x.shape[0]), range(x.shape[1])):
        parts = [
            0 if place < side - window else 1 if place < side - shift else 2
            for place, side in zip((row, column), x.shape[:2], strict=True)
        ]
        region[row, column] = 3 * parts[0] + parts[1]
    rolled, out = x.roll((-shift, -shift), (0, 1)), torch.zeros_like(x)
    for top, left in product(range(0, x.shape[0], window), range(0, x.shape[1], window)):
        cells = slice(top, top + window), slice(left, left + window)
        here = region[cells].flatten()
        hidden = torch.where(here[:, None] == here[None], 0.0, -100.0) if shift else torch.zeros(window**2, window**2)
        out[cells] = _attention(state, name, rolled[cells].flatten(0, 1), heads, window, hidden).view(
            window, window, -1
        )
    return out.roll((shift, shift), (0, 1))


def _attention(state: State, name: str, tokens: Tensor, heads: int, window: int, hidden: Tensor) -> Tensor:
    q, k, v = _linear(state, f"{name}attn.qkv", tokens).chunk(3, dim=1)
    table, width = state[f"{name}attn.relative_position_bias_table"], tokens.shape[1] // heads
    places = list(product(range(window), range(window)))
    index = [[(a - c + window - 1) * (2 * window - 1) + b - d + window - 1 for c, d in places] for a, b in places]
    results = []
    for head in range(heads):
        own = slice(head * width, (head + 1) * width)
        scores = q[:, own] @ k[:, own].T / math.sqrt(width) + table[torch.tensor(index), head] + hidden
        results.append(scores.softmax(1) @ v[:, own])
    return _linear(state, f"{name}attn.proj", torch.cat(results, dim=1))


def _linear(state: State, name: str, x: Tensor) -> Tensor:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def _layer_norm(state: State, name: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"])


def plain_dcama(
    head: State, query: list[list[Tensor]], supports: list[list[list[Tensor]]], masks: Tensor, heads: int
) -> Tensor:
    """Logits [2,H,W] of a query by K supports (maps by stage, see above) with masks [K,H,W]."""
    levels = []
    for level in range(3):
        blocks = []
        for block, found in enumerate(query[level + 1]):
            own = [support[level + 1][block] for support in supports]
            small = [_resize(mask[None], found.shape[1:])[0] for mask in masks]
            blocks.append(_aggregate(head, level, found, own, small, heads))
        levels.append(torch.stack(blocks))
    m8, m16, m32 = (_squeeze(head, f"model.conv{3 - level}", masks) for level, masks in enumerate(levels))
    mixed = _squeeze(head, "model.conv4", _resize(m32, m16.shape[1:]) + m16)
    mixed = _squeeze(head, "model.conv5", _resize(mixed, m8.shape[1:]) + m8)
    mixed = torch.cat([mixed, query[1][-1], torch.stack([support[1][-1] for support in supports]).amax(0)])
    mixed = _resize(mixed, query[0][-1].shape[1:])
    mixed = torch.cat([mixed, query[0][-1], torch.stack([support[0][-1] for support in supports]).amax(0)])
    mixed = _conv(head, "model.mixer1.2", _conv(head, "model.mixer1.0", mixed).relu()).relu()
    mixed = _resize(mixed, [2 * side for side in mixed.shape[1:]])
    mixed = _conv(head, "model.mixer2.2", _conv(head, "model.mixer2.0", mixed).relu()).relu()
    mixed = _resize(mixed, [2 * side for side in mixed.shape[1:]])
    return _conv(head, "model.mixer3.2", _conv(head, "model.mixer3.0", mixed).relu())


def _aggregate(
    head: State, level: int, query: Tensor, supports: list[Tensor], masks: list[Tensor], heads: int
) -> Tensor:
    name = f"model.DCAMA_blocks.{level}.linears."
    values = torch.cat([mask.flatten() for mask in masks])
    q = _linear(head, f"{name}0", _with_positions(query))
    k = torch.cat([_linear(head, f"{name}1", _with_positions(support)) for support in supports])
    width = q.shape[1] // heads
    found = torch.zeros(len(q))
    for part in range(heads):
        own = slice(part * width, (part + 1) * width)
        found += (q[:, own] @ k[:, own].T / math.sqrt(width)).softmax(1) @ values / heads
    return found.view(query.shape[1:])


def _with_positions(map_: Tensor) -> Tensor:
    """Tokens [h*w,C] of a map [C,h,w], the sine or cosine of their number along the rows added."""
    tokens = map_.flatten(1).T.clone()
    for number, channel in product(range(len(tokens)), range(tokens.shape[1])):
        phase = number * math.exp(-math.log(10000) * (channel - channel % 2) / tokens.shape[1])
        tokens[number, channel] += math.cos(phase) if channel % 2 else math.sin(phase)
    return tokens


def _squeeze(head: State, name: str, x: Tensor) -> Tensor:
    for place in (0, 3, 6):
        x = _conv(head, f"{name}.{place}", x)
        norm = head[f"{name}.{place + 1}.weight"], head[f"{name}.{place + 1}.bias"]
        x = F.group_norm(x[None], 4, *norm)[0].relu()
    return x


def _conv(head: State, name: str, x: Tensor) -> Tensor:
    weight = head[f"{name}.weight"]
    return F.conv2d(x[None], weight, head[f"{name}.bias"], padding=weight.shape[-1] // 2)[0]


def _resize(map_: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(map_[None].float(), size=tuple(size), mode="bilinear", align_corners=True)[0]
