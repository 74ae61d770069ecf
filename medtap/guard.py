"""How far to trust an adaptation: checked on support images that it was not trained on.

An adapter is trained on each half of the support set (of its volumes, where it has several), in as many steps as the
whole set would get, and segments the other half at several strengths: as it began, as it was trained, and as far again
beyond (weights are scaled so by Ilharco et al., ICLR 2023). The mean of both halves' adapters (a soup of weights, as
Wortsman et al., ICML 2022) is given the strength that segments best, and then trained on all of the set for a few
passes more; 0 is the unadapted network. Half of a support set teaches less than all of it, so a little that the adapter
loses there may be forgiven. Of a single image nothing can be held out, and views of it tell nothing of others: the
unadapted network is kept.

What is best is told by the soft Dice loss, which sees the small changes of a few passes that hardly turn a pixel, or by
the Dice of the masks, for longer training, which makes a network surer or less sure of all that it finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Generator, Tensor

from medtap.adapters import AttachedAdapter
from medtap.losses import Loss, dice_loss, mask_dice_loss
from medtap.networks.classes import recall_classes, remember_classes
from medtap.passes import SupportTraining, set_values, show_a_class, steps_a_pass, values
from medtap.tap_options import TapOptions

STRENGTHS = (0.0, 1.0, 2.0)
CHECKS: dict[str, Loss] = {"held_out": dice_loss, "held_out_masks": mask_dice_loss}
NOTHING_HELD_OUT = {"strength": 0.0}
"""What a guard sees of a single image."""

Half: TypeAlias = tuple[Tensor, Tensor]
"""Indices of the pictures that are trained on, and of those held out."""


class HeldOut(NamedTuple):
    """What the halves of a support set tell, or those of each of A sets.

    Attributes:
        losses: [*A,3], mean Dice losses of images that were not trained on, at each of ``STRENGTHS``.
        mean: values of the adapter, the mean of the halves' weighted by their pictures.
        courses: the losses of each half's training.
    """

    losses: Tensor
    mean: list[Tensor]
    courses: list[Any]


def look_at_halves(training: SupportTraining, images: Tensor, masks: Tensor, volumes: Tensor | None = None) -> HeldOut:
    """Train on each half of a support set, and segment the other one.

    Args:
        training: of the adapter, whose values are changed.
        images: [K,3,S,S] in [0,1], of which two or more show a class.
        masks: labels [K,S,S] in 0..N.
        volumes: number [K] of the volume that each is a plane of. No volume is in both halves, unless all pictures that
            show a class are of one.
    """
    volumes = torch.arange(len(images)) if volumes is None else volumes

    def train(seen: Tensor) -> list[float]:
        options = as_many_steps(training.options, masks, masks[seen])
        return replace(training, options=options).run(images[seen], masks[seen], volumes[seen.cpu()])

    return both_halves(
        training.attached,
        training.options.seed,
        split_in_halves(masks, volumes, training.options.seed),
        train,
        lambda halves: _dice_losses(training, images, masks, halves),
    )


def both_halves(
    attached: AttachedAdapter,
    seed: int,
    halves: Sequence[Half],
    train: Callable[[Tensor], Any],
    losses: Callable[[Sequence[Half]], Sequence[Any]],
) -> HeldOut:
    """What halves tell of an adapter, or of those of A sets, that is trained from a seed's initial values.

    Args:
        attached: the adapter, or those of many sets.
        seed: of its initial values.
        halves: of a set, or of each.
        train: trains on the pictures of these indices, from the initial values; the losses.
        losses: of halves, the mean loss [*A] of what each holds out, with the adapter as it is.
    """
    start, pictures = initial_values(attached, seed), sum(len(held_out) for _, held_out in halves)
    attached.train(False)
    total, mean, courses = torch.zeros(len(STRENGTHS)), [torch.zeros_like(value) for value in start], []
    for half, unadapted in zip(halves, losses(halves), strict=True):
        seen, held_out = half
        courses.append(train(seen))
        end = values(attached)
        own = [unadapted]
        for strength in STRENGTHS[1:]:
            set_values(attached, at_strength(start, end, strength))
            own += losses([half])
        total = total + torch.stack(own, dim=-1) * (len(held_out) / pictures)
        mean = [sofar + value * (len(seen) / pictures) for sofar, value in zip(mean, end, strict=True)]
    return HeldOut(total, mean, courses)


def mean_course(courses: Iterable[Sequence[float]]) -> list[float]:
    """The mean loss of each step of the halves' trainings, as far as both go."""
    return list(map(fmean, zip(*courses, strict=False)))


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
def _dice_losses(training: SupportTraining, images: Tensor, masks: Tensor, halves: Sequence[Half]) -> list[Tensor]:
    """All pictures are encoded together, for then the encoder's frozen parts give what they gave before."""
    features, losses = training.network.encode(images), []
    for seen, held_out in halves:
        shots = seen[show_a_class(masks[seen])]
        support, queries = (tuple(level[index] for level in features) for index in (shots, held_out))
        memory = remember_classes(training.network, support, masks[shots], training.classes)
        logits = recall_classes(training.network, queries, memory, masks.shape[-2:])
        losses.append(CHECKS[training.options.guard](logits.float(), masks[held_out]).cpu())
    return losses


def initial_values(attached: AttachedAdapter, seed: int) -> list[Tensor]:
    """The values that training begins at, which the adapter is left with."""
    attached.reset(Generator().manual_seed(seed))
    return values(attached)


def at_strength(start: Sequence[Tensor], end: Sequence[Tensor], strength: float) -> list[Tensor]:
    """The values that lie so far on the way from a start to an end, or beyond it."""
    return [torch.lerp(first, last, strength) for first, last in zip(start, end, strict=True)]


def seen_by_guard(losses: Tensor, options: TapOptions) -> dict[str, float]:
    """What a record tells of losses at each of ``STRENGTHS``.

    The loss ``unadapted``, at the ``strength`` that is best, and ``adapted``: at that strength, or where it is 0, as
    trained.
    """
    strength = best_strength(losses.tolist(), options.forgiven)
    told = dict(zip(STRENGTHS, losses.tolist(), strict=True))
    seen = {"unadapted": told[0.0], "adapted": told[strength or 1.0], "strength": strength}
    return {name: round(value, 6) for name, value in seen.items()}


def best_strength(losses: Sequence[float], forgiven: float) -> float:
    """The strength of the least loss, less what is forgiven of an adapter as trained; of equals, the weaker one."""
    net = (loss - forgiven * min(strength, 1) for loss, strength in zip(losses, STRENGTHS, strict=True))
    return min(zip(net, STRENGTHS, strict=True))[1]
