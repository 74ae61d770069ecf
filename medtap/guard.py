"""How far to trust an adaptation: checked on support images that it was not trained on.

Each half of the support set (of its volumes, where it has several) is segmented by a network adapted to the other half,
in as many steps as the whole set gets, with the adapter at several strengths between its start and its end (as weights
are interpolated by Wortsman et al., CVPR 2022). The strength that segments best is what the adapter trained on all of
the set is given; 0 is the unadapted network. Where it is the whole of it, both halves are trained for as many passes
again, as often as the options allow. Half of a support set teaches less than all of it, so a little that the adapter
loses there may be forgiven. Of a single image nothing can be held out, and views of it tell nothing of others: the
unadapted network is kept.

What is best is told by the soft Dice loss, which sees the small changes of a few passes that hardly turn a pixel, or by
the Dice of the masks, for longer training, which makes a network surer or less sure of all that it finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any, TypeAlias

import torch
from torch import Generator, Tensor

from medtap.adapters import AttachedAdapter
from medtap.losses import Loss, dice_loss, mask_dice_loss
from medtap.networks.classes import recall_classes, remember_classes
from medtap.passes import SupportTraining, set_values, show_a_class, steps_a_pass, values
from medtap.tap_options import TapOptions

STRENGTHS = (0.0, 0.5, 1.0)
CHECKS: dict[str, Loss] = {"held_out": dice_loss, "held_out_masks": mask_dice_loss}
NOTHING_HELD_OUT = {"strength": 0.0}
"""What a guard sees of a single image."""

Losses: TypeAlias = list[list[float]]
"""Of held-out images, for each of ``STRENGTHS``: after the first number of passes, after twice as many, and so on."""
Half: TypeAlias = tuple[Tensor, Tensor]
"""Indices of the pictures that are trained on, and of those held out."""


def held_out_losses(training: SupportTraining, images: Tensor, masks: Tensor, volumes: Tensor | None = None) -> Losses:
    """Mean Dice loss over support images that were not trained on, after as many passes as go on helping.

    Args:
        training: of the adapter, whose values are changed.
        images: [K,3,S,S] in [0,1], of which two or more show a class.
        masks: labels [K,S,S] in 0..N.
        volumes: number [K] of the volume that each is a plane of. No volume is in both halves, unless all pictures that
            show a class are of one.
    """
    volumes = torch.arange(len(images)) if volumes is None else volumes
    attached, options = training.attached, training.options
    halves = split_in_halves(masks, volumes, options.seed)
    stages = []
    for seen, _ in halves:
        own = replace(training, options=as_many_steps(options, masks, masks[seen]))
        stages.append(own.stages(own.options.lengths, images[seen], masks[seen], volumes[seen.cpu()]))
    losses = Losses()
    rows = losses_at_strengths(
        attached,
        options,
        list(zip(halves, stages, strict=True)),
        lambda seen, held_out: _dice_loss(training, images, masks, seen[show_a_class(masks[seen])], held_out),
    )
    for _ in takewhile(lambda _: goes_on(losses, options), options.lengths):
        losses.append(next(rows).tolist())
    return losses


def losses_at_strengths(
    attached: AttachedAdapter,
    options: TapOptions,
    stages: Sequence[tuple[Half, Iterator[Any]]],
    loss: Callable[[Tensor, Tensor], Any],
    sets: tuple[int, ...] = (),
) -> Iterator[Tensor]:
    """Mean losses [*sets,3] of what is held out, for each of ``STRENGTHS``, each time the training of halves stops.

    Args:
        attached: the adapter, or those of many sets.
        options: of the adaptation, whose seed gives the initial values.
        stages: the halves, each with its training, see `SupportTraining.stages`.
        loss: mean of a half's pictures that are held out, of each of the sets, with the adapter as it is.
        sets: A, where there are many.
    """
    start, pictures = initial_values(attached, options.seed), sum(len(held_out) for (_, held_out), _ in stages)
    attached.train(False)
    total = torch.zeros(*sets, len(STRENGTHS))
    for (seen, held_out), _ in stages:
        total[..., 0] += len(held_out) * loss(seen, held_out)  # of the unadapted network, the same however long
    for _ in options.lengths:
        total[..., 1:] = 0
        for (seen, held_out), stage in stages:
            next(stage)
            end = values(attached)
            for index, strength in enumerate(STRENGTHS[1:], 1):
                set_strength(attached, start, end, strength)
                total[..., index] += len(held_out) * loss(seen, held_out)
        yield total / pictures


def split_in_halves(masks: Tensor, volumes: Tensor, seed: int) -> list[Half]:
    """Which of the pictures with labels [K,S,S] are trained on and which held out: random halves, both ways."""
    generator, shown = Generator().manual_seed(seed), show_a_class(masks).cpu()
    own = volumes if len(volumes[shown].unique()) > 1 else torch.arange(len(masks))
    showing = own[shown].unique()
    others = own[~torch.isin(own, showing)].unique()
    shares = [names[torch.randperm(len(names), generator=generator)].tensor_split(2) for names in (showing, others)]
    halves = [torch.cat(half) for half in zip(*shares, strict=True)]
    first, second = (torch.cat([torch.where(own == name)[0] for name in half]).to(masks.device) for half in halves)
    return [(first, second), (second, first)]


def as_many_steps(options: TapOptions, masks: Tensor, part: Tensor) -> TapOptions:
    """The options that give a part of a support set, by its masks [K',S,S], as many steps as all [K,S,S] get."""
    return options.of_as_many_steps(*(steps_a_pass(options, each) for each in (masks, part)))


@torch.no_grad()
def _dice_loss(training: SupportTraining, images: Tensor, masks: Tensor, shots: Tensor, held_out: Tensor) -> float:
    """All pictures are encoded together, for then the encoder's frozen parts give what they gave before."""
    features = training.network.encode(images)
    support, queries = (tuple(level[index] for level in features) for index in (shots, held_out))
    memory = remember_classes(training.network, support, masks[shots], training.classes)
    logits = recall_classes(training.network, queries, memory, masks.shape[-2:])
    return float(CHECKS[training.options.guard](logits.float(), masks[held_out]))


def weaken(attached: AttachedAdapter, seed: int, strength: float) -> None:
    """Bring an adapter that was trained from a seed's initial values back towards them, by 1 less the strength."""
    end = values(attached)
    set_strength(attached, initial_values(attached, seed), end, strength)


def initial_values(attached: AttachedAdapter, seed: int) -> list[Tensor]:
    """The values that training begins at, which the adapter is left with."""
    attached.reset(Generator().manual_seed(seed))
    return values(attached)


@torch.no_grad()
def set_strength(attached: AttachedAdapter, start: Sequence[Tensor], end: Sequence[Tensor], strength: float) -> None:
    """Give the adapter the values that lie a share of the way from its start to its end."""
    set_values(attached, [torch.lerp(first, last, strength) for first, last in zip(start, end, strict=True)])


def seen_by_guard(losses: Losses, options: TapOptions) -> dict[str, float]:
    """What a record tells of losses.

    The loss ``unadapted`` and ``adapted``, the best number of ``passes``, and the best ``strength`` after them.
    """
    doubled, strength = best_of(losses, options)
    seen = {"unadapted": losses[0][0], "adapted": losses[doubled][-1], "strength": strength}
    return {name: round(value, 6) for name, value in seen.items()} | {"passes": options.lengths[doubled]}


def goes_on(losses: Losses, options: TapOptions) -> bool:
    """Whether passes may be doubled: not yet, or the last time the adapter at full strength became the best."""
    return not losses or best_of(losses, options) == (len(losses) - 1, STRENGTHS[-1])


def best_of(losses: Losses, options: TapOptions) -> tuple[int, float]:
    """How often the passes were doubled and the strength, of the least loss less what is forgiven of it.

    Of equals it is the weaker adapter, of fewer passes.
    """
    least = min(
        (loss - options.forgiven * strength, strength, doubled)
        for doubled, row in enumerate(losses)
        for loss, strength in zip(row, STRENGTHS, strict=True)
    )
    return least[2], least[1]
