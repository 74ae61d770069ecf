"""How far to trust each of many adaptations: `medtap.guard` for stacked adapters, in the same number of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from medtap.adapters import AttachedAdapter
from medtap.guard import CHECKS, STRENGTHS, as_many_steps, initial_values, set_strength, split_in_halves, values
from medtap.many.passes import ManyTraining, losses_by_set, side_by_side
from medtap.passes import PseudoQueries, pseudo_query_logits, show_a_class


def held_out_losses(many: ManyTraining, images: Tensor, masks: Tensor, volumes: Tensor) -> Tensor:
    """Mean Dice losses [A,3] over support images that were not trained on, by set and for each of ``STRENGTHS``.

    Args:
        many: of the adapters, whose values are changed.
        images: [A,K,3,S,S] in [0,1], of which two or more of each set show a class.
        masks: labels [A,K,S,S] in 0..N.
        volumes: number [K] of the volume that each is a plane of, the same in every set.
    """
    attached, options = many.training.attached, many.training.options
    halves = split_in_halves(masks[0], volumes, options.seed)
    losses = torch.zeros(len(images), len(STRENGTHS))
    for seen, held_out in halves:
        training = replace(many.training, options=as_many_steps(options, masks[0], masks[0, seen]))
        ManyTraining(training).run(images[:, seen], masks[:, seen], volumes[seen.cpu()])
        end, start = values(attached), initial_values(attached, options.seed)
        shots = seen[show_a_class(masks[0, seen])]
        for index, strength in enumerate(STRENGTHS):
            set_strength(attached, start, end, strength)
            losses[:, index] += len(held_out) * _dice_losses(many, images, masks, shots, held_out)
    return losses / sum(len(held_out) for _, held_out in halves)


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
    for parameter, first, last in zip(attached.parameters(), start, end, strict=True):
        weight = first.new_tensor(strengths).view(-1, *[1] * (first.ndim - 1))
        parameter.copy_(torch.lerp(first, last, weight))
