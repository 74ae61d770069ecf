"""How far to trust an adaptation: checked on support images that it was not trained on.

Each half of the support set (of its volumes, where it has several) is segmented by a network adapted to the other half,
in as many steps as the whole set gets, with the adapter at several strengths between its start and its end (as weights
are interpolated by Wortsman et al., CVPR 2022). The strength that segments best is what the adapter trained on all of
the set is given; 0 is the unadapted network. Half of a support set teaches less than all of it, so a little that the
adapter loses there is forgiven. Of a single image nothing can be held out, and views of it tell nothing of others: the
unadapted network is kept.

What is best is told by the soft Dice loss, which sees the small changes of a few passes that hardly turn a pixel, or by
the Dice of the masks, for longer training, which makes a network surer or less sure of all that it finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Generator, Tensor

from medtap.adapters import AttachedAdapter
from medtap.losses import Loss, dice_loss, mask_dice_loss
from medtap.networks.classes import recall_classes, remember_classes
from medtap.passes import SupportTraining, show_a_class, steps_a_pass
from medtap.tap_options import TapOptions

STRENGTHS = (0.0, 0.5, 1.0)
CHECKS: dict[str, Loss] = {"held_out": dice_loss, "held_out_masks": mask_dice_loss}
_FORGIVEN = 0.01  # of the Dice loss, at full strength
NOTHING_HELD_OUT = {"strength": 0.0}
"""What a guard sees of a single image."""

Half = tuple[Tensor, Tensor]
"""Indices of the pictures that are trained on, and of those held out."""


def held_out_losses(
    training: SupportTraining, images: Tensor, masks: Tensor, volumes: Tensor | None = None
) -> list[float]:
    """Mean Dice loss over support images that were not trained on, for each of ``STRENGTHS``.

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
    losses = torch.zeros(len(STRENGTHS))
    for seen, held_out in halves:
        as_long = replace(training, options=as_many_steps(options, masks, masks[seen]))
        as_long.run(images[seen], masks[seen], volumes[seen.cpu()])
        end, start = values(attached), initial_values(attached, options.seed)
        shots = seen[show_a_class(masks[seen])]
        for index, strength in enumerate(STRENGTHS):
            set_strength(attached, start, end, strength)
            losses[index] += len(held_out) * _dice_loss(training, images, masks, shots, held_out)
    return (losses / sum(len(held_out) for _, held_out in halves)).tolist()


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


def values(attached: AttachedAdapter) -> list[Tensor]:
    """Copies of an adapter's values."""
    return [parameter.detach().clone() for parameter in attached.parameters()]


@torch.no_grad()
def set_strength(attached: AttachedAdapter, start: Sequence[Tensor], end: Sequence[Tensor], strength: float) -> None:
    """Give the adapter the values that lie a share of the way from its start to its end."""
    for parameter, first, last in zip(attached.parameters(), start, end, strict=True):
        parameter.copy_(torch.lerp(first, last, strength))


def seen_by_guard(losses: Sequence[float]) -> dict[str, float]:
    """What a record tells of the loss for each of ``STRENGTHS``: ``unadapted``, ``adapted``, the best ``strength``."""
    seen = {"unadapted": losses[0], "adapted": losses[-1], "strength": best_strength(losses)}
    return {name: round(value, 6) for name, value in seen.items()}


def best_strength(losses: Sequence[float]) -> float:
    """The strength of the least loss, less what is forgiven of it; the weaker of equals."""
    return min((loss - _FORGIVEN * strength, strength) for loss, strength in zip(losses, STRENGTHS, strict=True))[1]
