"""Take a Peek once more, plain and slow, from the paper alone: the reference that the loop is held against.

Nothing of medtap is used but the network's own ``forward``: LoRA is written out on the Linear layers, the focal loss is
restated, and every pseudo-query is segmented by its K - 1 supports in a forward pass of its own at batch 1.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Generator, Tensor, nn


class PlainLora(nn.Module):
    """W x + (alpha / r) B A x."""

    def __init__(self, linear: nn.Linear, rank: int, alpha: float, generator: Generator) -> None:
        super().__init__()
        self.linear, self.scale = linear, alpha / rank
        a = torch.empty(rank, linear.in_features)
        nn.init.kaiming_uniform_(a, a=math.sqrt(5), generator=generator)
        self.a, self.b = nn.Parameter(a), nn.Parameter(torch.zeros(linear.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.scale * ((x @ self.a.T) @ self.b.T)


def attach_everywhere(module: nn.Module, rank: int, alpha: float, generator: Generator) -> list[nn.Parameter]:
    """Replace every Linear layer, in order; the factors to train."""
    factors: list[nn.Parameter] = []
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Linear):
            lora = PlainLora(child, rank, alpha, generator)
            setattr(module, name, lora)
            factors += [lora.a, lora.b]
        else:
            factors += attach_everywhere(child, rank, alpha, generator)
    return factors


def plain_focal_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Focal loss of binary logits [1,2,H,W], gamma 2, each pixel by 1 / ln(1.1 + frequency of its class)."""
    probability = torch.softmax(logits, 1)[0]
    share = mask.float().mean()
    foreground = -((1 - probability[1]) ** 2) * torch.log(probability[1]) / torch.log(1.1 + share)
    background = -((1 - probability[0]) ** 2) * torch.log(probability[0]) / torch.log(1.1 + (1 - share))
    return torch.where(mask == 1, foreground, background).mean()


def plain_take_a_peek(
    network: nn.Module, images: Tensor, masks: Tensor, *, rank: int, passes: int, rate: float, seed: int
) -> nn.Module:
    """Adapt a copy of a network with an ``encoder`` to K images with binary masks: T passes of K optimizer steps."""
    network = copy.deepcopy(network).eval().requires_grad_(False)
    factors = attach_everywhere(network.encoder, rank, rank, Generator().manual_seed(seed))
    optimizer = torch.optim.AdamW(factors, lr=rate, weight_decay=0.01)
    for _ in range(passes):
        for query in range(len(images)):
            others = [shot for shot in range(len(images)) if shot != query] or [query]
            logits = network(images[[query]], images[others][None], masks[others][None].float())
            optimizer.zero_grad()
            plain_focal_loss(logits, masks[query]).backward()
            optimizer.step()
    return network
