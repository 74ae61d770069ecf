"""HSNet, PATNet and DMTNet stated plainly on the names of their published checkpoints, one picture and one shot."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.networks.official_hypercorrelation import DEPTHS, Weights

STRIDES = {"4": (2, 2, 2), "3": (4, 2, 2), "2": (4, 4, 2)}
PIVOTS = ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias")


def plain_blocks(weights: Weights, images: Tensor, depths: tuple[int, ...] = DEPTHS) -> list[Tensor]:
    """Outputs of the bottlenecks of stages 2 to 4 before their last ReLU."""
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (images - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)
    x = F.conv2d(x, weights["backbone.conv1.weight"], stride=2, padding=3)
    x = F.max_pool2d(_normed(weights, "backbone.bn1", x).relu(), 3, 2, 1)
    maps = []
    for stage, depth in enumerate(depths, start=1):
        for block in range(depth):
            name, stride = f"backbone.layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = _normed(weights, f"{name}.bn1", F.conv2d(x, weights[f"{name}.conv1.weight"])).relu()
            y = F.conv2d(y, weights[f"{name}.conv2.weight"], stride=stride, padding=1)
            y = F.conv2d(_normed(weights, f"{name}.bn2", y).relu(), weights[f"{name}.conv3.weight"])
            y = _normed(weights, f"{name}.bn3", y)
            if block == 0:
                shorter = F.conv2d(x, weights[f"{name}.downsample.0.weight"], stride=stride)
                x = _normed(weights, f"{name}.downsample.1", shorter)
            x = x + y
            maps += [x] if stage > 1 else []
            x = x.relu()
    return maps


def _normed(weights: Weights, name: str, x: Tensor) -> Tensor:
    parts = (weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, *parts)


def plain_mask(mask: Tensor, feature: Tensor) -> Tensor:
    """A mask [1,H,W] at the resolution of a feature [1,C,h,w]: [1,1,h,w]."""
    return F.interpolate(mask[None], feature.shape[-2:], mode="bilinear", align_corners=True)


def plain_head(
    weights: Weights, query: list[Tensor], support: list[Tensor], depths: tuple[int, ...] = DEPTHS
) -> Tensor:
    """Correlate maps and decode: logits [1,2,2h,2w]."""
    maps = []
    for q, s in zip(query, support, strict=True):
        q, s = (x[0] / (x[0].square().sum(0, keepdim=True).sqrt() + 1e-5) for x in (q, s))
        maps.append(torch.einsum("chw,cvz->hwvz", q, s).clamp(min=0))
    ends = {"2": depths[1], "3": depths[1] + depths[2], "4": sum(depths[1:])}
    tensors = {n: torch.stack(maps[ends[n] - depths[int(n) - 1] : ends[n]])[None] for n in ends}
    squeezed = {n: _block(weights, f"encoder_layer{n}", x, STRIDES[n]) for n, x in tensors.items()}
    x = _block(weights, "encoder_layer4to3", _query_sized(squeezed["4"], squeezed["3"]) + squeezed["3"], (1, 1, 1))
    x = _block(weights, "encoder_layer3to2", _query_sized(x, squeezed["2"]) + squeezed["2"], (1, 1, 1))
    x = x.mean((4, 5))
    for name in ("decoder1.0", "decoder1.2"):
        x = _convolved(weights, name, x).relu()
    x = F.interpolate(x, (2 * x.shape[2], 2 * x.shape[3]), mode="bilinear", align_corners=True)
    return _convolved(weights, "decoder2.2", _convolved(weights, "decoder2.0", x).relu())


def _convolved(weights: Weights, name: str, x: Tensor) -> Tensor:
    return F.conv2d(x, weights[f"hpn_learner.{name}.weight"], weights[f"hpn_learner.{name}.bias"], padding=1)


def _query_sized(x: Tensor, like: Tensor) -> Tensor:
    out = torch.zeros((*x.shape[:2], *like.shape[2:4], *x.shape[4:]))
    for row in range(x.shape[4]):
        for column in range(x.shape[5]):
            plane = x[..., row, column]
            out[..., row, column] = F.interpolate(plane, like.shape[2:4], mode="bilinear", align_corners=True)
    return out


def _block(weights: Weights, name: str, x: Tensor, strides: tuple[int, ...]) -> Tensor:
    for index, stride in enumerate(strides):
        own = {part: weights[f"hpn_learner.{name}.{3 * index}.{part}"] for part in PIVOTS}
        x = plain_centre_pivot(own, x, stride)
        norm = f"hpn_learner.{name}.{3 * index + 1}"
        x = F.group_norm(x, 4, weights[f"{norm}.weight"], weights[f"{norm}.bias"]).relu()
    return x


def plain_centre_pivot(weights: Weights, x: Tensor, stride: int) -> Tensor:
    """The convolution plane by plane: over query places at every kept support place, and the other way round."""
    pad = weights["conv1.weight"].shape[-1] // 2
    over_query = [
        [
            F.conv2d(x[..., row, column], weights["conv1.weight"], weights["conv1.bias"], padding=pad)
            for column in range(0, x.shape[5], stride)
        ]
        for row in range(0, x.shape[4], stride)
    ]
    over_support = [
        [
            F.conv2d(x[:, :, row, column], weights["conv2.weight"], weights["conv2.bias"], stride, pad)
            for column in range(x.shape[3])
        ]
        for row in range(x.shape[2])
    ]
    first = torch.stack([torch.stack(line, dim=-1) for line in over_query], dim=-2)
    second = torch.stack([torch.stack(line, dim=2) for line in over_support], dim=2)
    return first + second


def plain_transform(prototypes: list[Tensor], anchors: Tensor) -> Tensor:
    """The C x C matrix that maps two prototypes [C] towards two anchors [2,C], by numpy's pseudo-inverse."""
    rows = torch.stack(prototypes)
    rows = rows / (rows.norm(dim=1, keepdim=True) + 1e-6)
    units = anchors / (anchors.norm(dim=1, keepdim=True) + 1e-6)
    inverse = torch.from_numpy(np.linalg.pinv(rows.double().numpy())).to(rows)
    return (inverse @ units).T


def plain_prototype(feature: Tensor, mask: Tensor) -> Tensor:
    """Mean [C] of a feature [1,C,h,w] within a mask [1,1,h,w]."""
    return (feature * mask).sum((0, 2, 3)) / (mask.sum() + 1e-6)


def transformed(matrix: Tensor, feature: Tensor) -> Tensor:
    """Map a feature [1,C,h,w] by a matrix [C,C]."""
    return torch.einsum("dc,bchw->bdhw", matrix, feature)


def plain_hsnet(weights: Weights, query: list[Tensor], support: list[Tensor], mask: Tensor) -> Tensor:
    return plain_head(weights, query, [s * plain_mask(mask, s) for s in support])


def plain_patnet(weights: Weights, query: list[Tensor], support: list[Tensor], mask: Tensor) -> Tensor:
    queries, supports = [], []
    for q, s, stage in zip(query, support, _stages(), strict=True):
        soft = plain_mask(mask, s)
        prototypes = [plain_prototype(s, 1 - soft), plain_prototype(s, soft)]
        matrix = plain_transform(prototypes, weights[f"reference_layer{stage}.weight"])
        queries.append(transformed(matrix, q))
        supports.append(transformed(matrix, s * soft))
    return plain_head(weights, queries, supports)


def _stages() -> Iterator[int]:
    return (stage for stage, depth in enumerate(DEPTHS[1:], start=1) for _ in range(depth))


def plain_dmtnet(weights: Weights, query: list[Tensor], support: list[Tensor], mask: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of the foreground branch and of the background branch."""
    queries, inside, outside = [], [], []
    for q, s, stage in zip(query, support, _stages(), strict=True):
        soft = plain_mask(mask, s)
        prototypes = [plain_prototype(s, 1 - soft), plain_prototype(s, soft)]
        matrix = plain_transform(prototypes, weights[f"reference_layer{stage}.weight"])
        guess = plain_guess(q, s, soft)
        own = [plain_prototype(q, guess), plain_prototype(q, 1 - guess)]
        own_matrix = plain_transform(own, weights[f"reference_layer{stage + 3}.weight"])
        queries.append(transformed(0.5 * matrix + 0.5 * own_matrix, q))
        inside.append(transformed(matrix, s * soft))
        outside.append(transformed(matrix, s * (1 - soft)))
    return plain_head(weights, queries, inside), plain_head(weights, queries, outside)


def plain_guess(query: Tensor, support: Tensor, mask: Tensor) -> Tensor:
    """Where a query is more like the foreground of a shot's cells than like their background, [1,1,h,w]."""
    likeness = {True: torch.zeros(()), False: torch.zeros(())}
    for rows in plain_spans(support.shape[2]):
        for columns in plain_spans(support.shape[3]):
            for foreground in likeness:
                weight = (mask if foreground else 1 - mask)[:, :, rows, columns]
                prototype = plain_prototype(support[:, :, rows, columns], weight).view(1, -1, 1, 1)
                likeness[foreground] = likeness[foreground] + F.cosine_similarity(query, prototype, dim=1)
    return (likeness[True] > likeness[False]).float()[None]


def plain_spans(side: int) -> list[slice]:
    """Spans of a quarter of a side, and one more that ends with it where a rest remains."""
    length = side // 4
    starts = [start for start in range(side) if start % length == 0 and start + length <= side]
    return [slice(start, start + length) for start in sorted({*starts, side - length})]
