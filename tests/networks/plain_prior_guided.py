"""PFENet and BAM stated plainly on the names of their published checkpoints, one picture and K shots."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.networks.official_prior_guided import BINS, DEPTHS

Weights = dict[str, Tensor]


def plain_layers(weights: Weights, images: Tensor) -> list[Tensor]:
    """Maps of layers 2, 3 and 4 of images [B,3,H,W]."""
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (images - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)
    for place, stride in ((0, 2), (3, 1), (6, 1)):
        x = F.conv2d(x, weights[f"layer0.{place}.weight"], stride=stride, padding=1)
        x = normed(weights, f"layer0.{place + 1}", x).relu()
    x = F.max_pool2d(x, 3, 2, 1)
    maps = []
    for layer in (1, 2, 3, 4):
        x = plain_layer(weights, layer, x)
        maps.append(x)
    return maps[1:]


def plain_layer(weights: Weights, layer: int, x: Tensor) -> Tensor:
    dilation = {1: 1, 2: 1, 3: 2, 4: 4}[layer]
    for block in range(DEPTHS[layer - 1]):
        name, stride = f"layer{layer}.{block}", 2 if (layer, block) == (2, 0) else 1
        y = normed(weights, f"{name}.bn1", F.conv2d(x, weights[f"{name}.conv1.weight"])).relu()
        y = F.conv2d(y, weights[f"{name}.conv2.weight"], stride=stride, padding=dilation, dilation=dilation)
        y = F.conv2d(normed(weights, f"{name}.bn2", y).relu(), weights[f"{name}.conv3.weight"])
        y = normed(weights, f"{name}.bn3", y)
        if block == 0:
            x = normed(
                weights, f"{name}.downsample.1", F.conv2d(x, weights[f"{name}.downsample.0.weight"], None, stride)
            )
        x = (x + y).relu()
    return x


def normed(weights: Weights, name: str, x: Tensor) -> Tensor:
    parts = (weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, *parts)


def plain_shot(weights: Weights, support: list[Tensor], mask: Tensor) -> tuple[Tensor, Tensor]:
    """Prototype [C] of a shot's maps [1,C,h,w] inside its mask [H,W], and its masked deepest features [C,h,w]."""
    soft = resized(mask[None, None], support[1].shape[-2:])
    narrow = F.conv2d(torch.cat([support[1], support[0]], 1), weights["down_supp.0.weight"]).relu()
    prototype = torch.stack([(plane * soft[0, 0]).sum() / (soft.sum() + 0.0005) for plane in narrow[0]])
    return prototype, (plain_layer(weights, 4, support[1] * soft) * soft)[0]


def plain_prior(query: Tensor, support: Tensor) -> Tensor:
    """Prior mask [h,w] of query features [C,h,w] by masked support features [C,h',w'], place by place."""
    highest = torch.zeros(query.shape[1:])
    places = support.flatten(1).T
    for row in range(query.shape[1]):
        for column in range(query.shape[2]):
            place = query[:, row, column]
            highest[row, column] = max((s @ place) / (s.norm() * place.norm() + 1e-7) for s in places)
    return (highest - highest.min()) / (highest.max() - highest.min() + 1e-7)


def plain_pfenet(weights: Weights, query: list[Tensor], shots: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Logits [1,2,h,w] of a query's maps [1,C,h,w]."""
    prototype = torch.stack([shot[0] for shot in shots]).mean(0).view(1, -1, 1, 1)
    prior = torch.stack([plain_prior(query[2][0], shot[1]) for shot in shots]).mean(0)[None, None]
    narrow = F.conv2d(torch.cat([query[1], query[0]], 1), weights["down_query.0.weight"]).relu()
    levels: list[Tensor] = []
    for level, side in enumerate(BINS):
        grid = (side, side)
        x = torch.cat([F.adaptive_avg_pool2d(narrow, grid), prototype.expand(1, -1, *grid), resized(prior, grid)], 1)
        x = F.conv2d(x, weights[f"init_merge.{level}.0.weight"]).relu()
        if level:
            both = torch.cat([x, resized(levels[-1], grid)], 1)
            x = F.conv2d(both, weights[f"alpha_conv.{level - 1}.0.weight"]).relu() + x
        levels.append(resized(pair(weights, f"beta_conv.{level}", x) + x, narrow.shape[-2:]))
    return last(weights, "", torch.cat(levels, 1))


def plain_bam(weights: Weights, query: list[Tensor], shots: list[tuple[Tensor, Tensor]], chances: Tensor) -> Tensor:
    """The meta learner's logits [1,2,h,w] of a query's maps [1,C,h,w], its shots weighted [K]."""
    prototype = sum(weight * shot[0] for weight, shot in zip(chances, shots, strict=True)).view(1, -1, 1, 1)
    priors = [plain_prior(query[2][0], shot[1]) for shot in shots]
    prior = sum(weight * prior for weight, prior in zip(chances, priors, strict=True))[None, None]
    narrow = F.conv2d(torch.cat([query[1], query[0]], 1), weights["down_query.0.weight"]).relu()
    x = torch.cat([narrow, prototype.expand_as(narrow), prior], 1)
    x = F.conv2d(x, weights["init_merge.0.weight"]).relu()
    branches = [atrous(weights, 0, F.adaptive_avg_pool2d(x, 1)).expand_as(x), atrous(weights, 1, x)]
    branches += [atrous(weights, branch, x, 6 * (branch - 1)) for branch in (2, 3, 4)]
    return last(weights, "_meta", torch.cat(branches, 1))


def atrous(weights: Weights, branch: int, x: Tensor, rate: int = 0) -> Tensor:
    name = f"ASPP_meta.layer6_{branch}.0"
    return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=rate, dilation=rate or 1).relu()


def plain_distances(query: Tensor, support: list[Tensor]) -> Tensor:
    """How far the Gram matrices of shots' maps [1,C,h,w] are from a query's, [K]."""
    own = plain_gram(query)
    return torch.stack([(own - plain_gram(shot)).square().sum().sqrt() / len(own) for shot in support])


def plain_gram(maps: Tensor) -> Tensor:
    channels = maps[0].flatten(1)
    return torch.stack([torch.stack([(a @ b) / (a.norm() * b.norm() + 1e-7) for b in channels]) for a in channels])


def plain_chances(weights: Weights, distances: Tensor) -> Tensor:
    """Weights of K shots, [K], by what was learnt of sorted distances."""
    order = sorted(range(len(distances)), key=lambda shot: float(distances[shot]))
    hidden = (weights["kshot_rw.0.weight"][..., 0, 0] @ distances[order] + weights["kshot_rw.0.bias"]).relu()
    scores = weights["kshot_rw.2.weight"][..., 0, 0] @ hidden + weights["kshot_rw.2.bias"]
    ranked = torch.zeros_like(scores)
    for rank, shot in enumerate(order):
        ranked[shot] = scores[rank]
    return ranked.softmax(0)


def plain_ensemble(weights: Weights, meta: Tensor, deepest: Tensor, distance: Tensor) -> Tensor:
    """Both learners' [1,2,h,w], of the meta learner's logits and a query's deepest maps [1,C,h,w]."""
    pyramid = [deepest]
    for level, side in enumerate((1, 2, 3, 6)):
        name = f"learner_base.0.features.{level}"
        x = F.conv2d(F.adaptive_avg_pool2d(deepest, side), weights[f"{name}.1.weight"])
        pyramid.append(resized(normed(weights, f"{name}.2", x).relu(), deepest.shape[-2:]))
    x = F.conv2d(torch.cat(pyramid, 1), weights["learner_base.1.0.weight"], padding=1)
    x = normed(weights, "learner_base.1.1", x).relu()
    base = F.conv2d(x, weights["learner_base.1.4.weight"], weights["learner_base.1.4.bias"]).softmax(1)
    (a, b), (c, d) = weights["gram_merge.weight"].flatten(), weights["cls_merge.weight"].flatten()
    background, foreground = (a * meta.softmax(1)[:, side] + b * distance for side in (0, 1))
    return torch.stack([c * background + d * (1 - base[:, 0]), foreground], 1)


def last(weights: Weights, ending: str, x: Tensor) -> Tensor:
    x = F.conv2d(x, weights[f"res1{ending}.0.weight"]).relu()
    x = pair(weights, f"res2{ending}", x) + x
    x = F.conv2d(x, weights[f"cls{ending}.0.weight"], padding=1).relu()
    return F.conv2d(x, weights[f"cls{ending}.3.weight"], weights[f"cls{ending}.3.bias"])


def pair(weights: Weights, name: str, x: Tensor) -> Tensor:
    for place in (0, 2):
        x = F.conv2d(x, weights[f"{name}.{place}.weight"], padding=1).relu()
    return x


def resized(x: Tensor, grid: tuple[int, int]) -> Tensor:
    return F.interpolate(x, tuple(grid), mode="bilinear", align_corners=True)
