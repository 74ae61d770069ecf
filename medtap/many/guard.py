"""How far to trust each of many adaptations: `medtap.guard` for stacked adapters, in the same number of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

import torch
from torch import Tensor

from medtap.adapters import AttachedAdapter
from medtap.guard import (
    CHECKS,
    Losses,
    as_many_steps,
    goes_on,
    initial_values,
    losses_at_strengths,
    split_in_halves,
)
from medtap.many.passes import ManyTraining, losses_by_set, side_by_side
from medtap.passes import PseudoQueries, pseudo_query_logits, set_values, show_a_class, values


def held_out_losses(many: ManyTraining, images: Tensor, masks: Tensor, volumes: Tensor) -> list[Losses]:
    """Mean Dice losses over support images that were not trained on, by set: what `medtap.guard` tells of each.

    Args:
        many: of the adapters, whose values are changed.
        images: [A,K,3,S,S] in [0,1], of which two or more of each set show a class.
        masks: labels [A,K,S,S] in 0..N.
        volumes: number [K] of the volume that each is a plane of, the same in every set.
    """
    attached, options = many.training.attached, many.training.options
    halves = split_in_halves(masks[0], volumes, options.seed)
    stages = []
    for seen, _ in halves:
        half = ManyTraining(replace(many.training, options=as_many_steps(options, masks[0], masks[0, seen])))
        part = images[:, seen], masks[:, seen], volumes[seen.cpu()]
        stages.append(half.stages(half.training.options.lengths, *part))
    rows = losses_at_strengths(
        attached,
        options,
        list(zip(halves, stages, strict=True)),
        lambda seen, held_out: _dice_losses(many, images, masks, seen[show_a_class(masks[0, seen])], held_out),
        (len(images),),
    )
    losses = [Losses() for _ in images]
    for _ in takewhile(lambda _: any(goes_on(own, options) for own in losses), options.lengths):
        for own, row in zip(losses, next(rows), strict=True):
            if goes_on(own, options):
                own.append(row.tolist())
    return losses


@torch.no_grad()
def _dice_losses(many: ManyTraining, images: Tensor, masks: Tensor, shots: Tensor, held_out: Tensor) -> Tensor:
    each = shots.expand(len(held_out), -1)
    step = side_by_side([PseudoQueries(*own, held_out, each) for own in zip(images, masks, strict=True)])
    logits = pseudo_query_logits(many.training.network, step, many.training.classes)
    return losses_by_set(CHECKS[many.training.options.guard], logits.float(), step, len(images)).cpu()


@torch.no_grad()
def weaken(attached: AttachedAdapter, seed: int, strengths: Sequence[float]) -> None:
    """Bring the adapter of each set back towards its initial values, by 1 less that set's strength."""
    end = values(attached)
    start = initial_values(attached, seed)
    weights = [first.new_tensor(strengths).view(-1, *[1] * (first.ndim - 1)) for first in start]
    set_values(attached, list(map(torch.lerp, start, end, weights)))
