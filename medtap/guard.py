"""How far to trust an adaptation: checked on support images that it was not trained on.

Each half of the support set is segmented by a network adapted to the other half, with the adapter at several strengths
between its start and its end (as weights are interpolated by Wortsman et al., CVPR 2022). The strength that segments
best is what the adapter trained on the whole set is given; 0 is the unadapted network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Generator, Tensor

from medtap.adapters import AttachedAdapter
from medtap.augmentation import augmented_views
from medtap.losses import dice_loss
from medtap.networks.classes import recall_classes, remember_classes
from medtap.networks.segmenter import FewShotSegmenter
from medtap.passes import train_on_support
from medtap.tap_options import TapOptions

STRENGTHS = (0.0, 0.5, 1.0)
_VIEWS = 4  # of a single support image, which has no other half

Half = tuple[Tensor, Tensor]
"""Images [k,3,S,S] and labels [k,S,S]."""


def held_out_losses(
    network: FewShotSegmenter,
    attached: AttachedAdapter,
    images: Tensor,
    masks: Tensor,
    classes: int,
    options: TapOptions,
    rates: Mapping[str, float],
) -> list[float]:
    """Mean Dice loss over support images that were not trained on, for each of ``STRENGTHS``.

    Args:
        network: in evaluation, its encoder with the adapter attached.
        attached: the adapter, whose values are changed.
        images: [K,3,S,S] in [0,1]. A single one is checked on random views of itself.
        masks: labels [K,S,S] in 0..N.
        classes: N.
        options: how it is trained.
        rates: see ``train_on_support``.
    """
    losses, checked = torch.zeros(len(STRENGTHS)), 0
    for (seen, labels), held_out in _halves(images, masks, options):
        train_on_support(network, attached, seen, labels, classes, options, rates)
        end, start = _values(attached), _initial_values(attached, options.seed)
        for index, strength in enumerate(STRENGTHS):
            set_strength(attached, start, end, strength)
            losses[index] += len(held_out[0]) * _dice_loss(network, (seen, labels), held_out, classes)
        checked += len(held_out[0])
    return (losses / checked).tolist()


def _halves(images: Tensor, masks: Tensor, options: TapOptions) -> list[tuple[Half, Half]]:
    """Each half of the support set, drawn at random, with the other one."""
    generator = Generator().manual_seed(options.seed)
    if len(images) == 1:
        kind = options.augment if options.augment != "none" else "upright"
        views = augmented_views(images.expand(_VIEWS, -1, -1, -1), masks.expand(_VIEWS, -1, -1), generator, kind)
        return [((images, masks), views)]
    order = torch.randperm(len(images), generator=generator).to(images.device)
    first, second = ((images[part], masks[part]) for part in order.chunk(2))
    return [(first, second), (second, first)]


@torch.no_grad()
def _dice_loss(network: FewShotSegmenter, support: Half, queries: Half, classes: int) -> float:
    memory = remember_classes(network, network.encode(support[0]), support[1], classes)
    logits = recall_classes(network, network.encode(queries[0]), memory, queries[1].shape[-2:])
    return float(dice_loss(logits.float(), queries[1]))


def weaken(attached: AttachedAdapter, seed: int, strength: float) -> None:
    """Bring an adapter that was trained from a seed's initial values back towards them, by 1 less the strength."""
    end = _values(attached)
    set_strength(attached, _initial_values(attached, seed), end, strength)


def _initial_values(attached: AttachedAdapter, seed: int) -> list[Tensor]:
    """The values that training begins at, which the adapter is left with."""
    attached.reset(Generator().manual_seed(seed))
    return _values(attached)


def _values(attached: AttachedAdapter) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in attached.parameters()]


@torch.no_grad()
def set_strength(attached: AttachedAdapter, start: Sequence[Tensor], end: Sequence[Tensor], strength: float) -> None:
    """Give the adapter the values that lie a share of the way from its start to its end."""
    for parameter, first, last in zip(attached.parameters(), start, end, strict=True):
        parameter.copy_(torch.lerp(first, last, strength))


def best_strength(losses: Sequence[float]) -> float:
    """The strength of the least loss, the weaker of equals."""
    return STRENGTHS[min(range(len(losses)), key=losses.__getitem__)]
