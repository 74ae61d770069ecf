"""How far to trust each of many adaptations: `medtap.guard` for stacked adapters, in the same number of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from medtap.guard import CHECKS, HeldOut, as_many_steps, both_halves, split_in_halves
from medtap.many.passes import ManyTraining, losses_by_set, side_by_side
from medtap.passes import PseudoQueries, pseudo_query_logits, show_a_class


def look_at_halves(many: ManyTraining, images: Tensor, masks: Tensor, volumes: Tensor) -> HeldOut:
    """Train on each half of every support set, and segment the other one: what `medtap.guard` tells of each.

    Args:
        many: of the adapters, whose values are changed.
        images: [A,K,3,S,S] in [0,1], of which two or more of each set show a class.
        masks: labels [A,K,S,S] in 0..N.
        volumes: number [K] of the volume that each is a plane of, the same in every set.
    """
    training, options = many.training, many.training.options

    def train(seen: Tensor) -> list[list[float]]:
        half = replace(training, options=as_many_steps(options, masks[0], masks[0, seen]))
        return ManyTraining(half).run(images[:, seen], masks[:, seen], volumes[seen.cpu()])

    return both_halves(
        training.attached,
        options.seed,
        split_in_halves(masks[0], volumes, options.seed),
        train,
        lambda halves: [_dice_losses(many, images, masks, *half) for half in halves],
    )


@torch.no_grad()
def _dice_losses(many: ManyTraining, images: Tensor, masks: Tensor, seen: Tensor, held_out: Tensor) -> Tensor:
    shots = seen[show_a_class(masks[0, seen])]
    each = shots.expand(len(held_out), -1)
    step = side_by_side([PseudoQueries(*own, held_out, each) for own in zip(images, masks, strict=True)])
    logits = pseudo_query_logits(many.training.network, step, many.training.classes)
    return losses_by_set(CHECKS[many.training.options.guard], logits.float(), step, len(images)).cpu()


def at_strengths(start: Sequence[Tensor], end: Sequence[Tensor], strengths: Sequence[float]) -> list[Tensor]:
    """The values [A,...] that lie, for each set, so far on the way from a start to an end, or beyond it."""
    weights = [first.new_tensor(strengths).view(-1, *[1] * (first.ndim - 1)) for first in start]
    return list(map(torch.lerp, start, end, weights))
