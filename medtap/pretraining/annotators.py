"""Masks as several annotators would draw them: some tight, some wide, some with less detail than others."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from medtap.errors import OptionError
from medtap.pretraining.scenes import by_places, smooth_noise, uniform

_PLACE = 0.25  # of an object's thickness: what an annotator sees as one place
_BENDS = 6  # along a side, of an outline that is now too tight and now too wide


def refuse_unlike_hands(disagreement: float) -> None:
    """Refuse a disagreement that `redrawn` does not know.

    Raises:
        OptionError: it is not within 0 and 0.5.
    """
    if not 0 <= disagreement <= 0.5:
        found = str(disagreement)
        raise OptionError("masks cannot be redrawn so", expected="a disagreement of 0 to 0.5", found=found)


def redrawn(masks: Tensor, disagreement: float, generator: Generator) -> Tensor:
    """Draw masks anew, each by a hand of its own, whose outline lies now within the true one and now beyond it.

    How far is a share of the thickness of the task's objects, so that vessels stay where they are; from task to task
    it differs between nothing and as far as ``disagreement`` allows. A mask that would be lost stays as it was.

    Args:
        masks: [T,n,S,S] in {0,1}.
        disagreement: how far from a half, at most, the share of a place lies from which it is drawn as the object's.
        generator: source of chance, on the CPU.

    Returns:
        Masks of the same shape.
    """
    if not disagreement:
        return masks
    return torch.stack([_redrawn(task, disagreement, generator) for task in masks])


def _redrawn(masks: Tensor, disagreement: float, generator: Generator) -> Tensor:
    n, size = len(masks), masks.shape[-1]
    reach = disagreement * float(uniform(0, 1, (1,), generator))
    hands = uniform(-1, 1, (n, 1, 1), generator) + 0.4 * smooth_noise((n, 1), size, _BENDS, generator)[:, 0]
    levels = (0.5 + reach * hands).clamp(0.1, 0.9).to(masks.device)
    drawn = (_seen(masks) > levels).to(masks)
    return torch.where(drawn.flatten(1).any(1)[:, None, None], drawn, masks)


def _seen(masks: Tensor) -> Tensor:
    """The share [n,S,S] of each place that masks of one task cover, a place being as wide as their thickness tells."""
    size = masks.shape[-1]
    places = (size / (_PLACE * thickness(masks).clamp(min=1))).clamp(8, size)
    return by_places(masks, round(float(places)))


def thickness(masks: Tensor) -> Tensor:
    """The radius in pixels, in the mean over masks [n,S,S], of discs with their ratio of area to outline."""
    outline = (masks.diff(dim=-1) != 0).sum() + (masks.diff(dim=-2) != 0).sum()
    return 8 / math.pi * masks.sum() / outline.clamp(min=1)  # a disc of radius r has 8 r edges of pixels as its outline
