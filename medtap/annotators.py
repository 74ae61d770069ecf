"""Masks as several annotators would draw them: some tight, some wide, some with less detail than others."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from medtap.chance import smooth_noise, uniform
from medtap.errors import OptionError

_PLACE = 0.25  # of an object's thickness: what an annotator sees as one place
_BENDS = 6  # along a side, of an outline that is now too tight and now too wide
_FINE = 4  # pixels, straight between which bends are drawn


def refuse_unlike_hands(disagreement: float) -> None:
    """Refuse a disagreement that `redrawn` does not know.

    Raises:
        OptionError: it is not within 0 and 0.5.
    """
    if not 0 <= disagreement <= 0.5:
        found = str(disagreement)
        raise OptionError("masks cannot be redrawn so", expected="a disagreement of 0 to 0.5", found=found)


def redrawn(labels: Tensor, disagreement: float, generator: Generator) -> Tensor:
    """Draw masks anew, each by a hand of its own, whose outline lies now within the true one and now beyond it.

    How far is a share of the thickness of the thinnest class, so that vessels stay where they are; from call to call it
    differs between nothing and as far as ``disagreement`` allows. Where classes meet they still do. A mask of which a
    class would be lost stays as it was.

    Args:
        labels: [n,S,S] in 0..N.
        disagreement: how far from a half, at most, the share of a place lies from which it is drawn as an object's.
        generator: source of chance, on the CPU.

    Returns:
        Labels of the same shape.
    """
    if not disagreement:
        return labels
    classes = torch.arange(1, max(2, int(labels.max()) + 1), device=labels.device).view(-1, 1, 1, 1)
    each = labels == classes
    seen = _seen(each.float())
    drawn = (_most_seen(seen) * (seen.sum(0) > _levels(labels, disagreement, generator))).to(labels)
    lost = (_shown(each) & ~_shown(drawn == classes)).any(0)
    return torch.where(lost[:, None, None], labels, drawn)


def _levels(labels: Tensor, disagreement: float, generator: Generator) -> Tensor:
    """The share [n,S,S] of a place from which each of n hands draws it as an object's."""
    n, size = len(labels), labels.shape[-1]
    reach = disagreement * float(uniform(0, 1, (1,), generator))
    bends = smooth_noise((n, 1), -(-size // _FINE), _BENDS, generator)
    bends = F.interpolate(bends, (size, size), mode="bilinear", align_corners=False)[:, 0]
    hands = uniform(-1, 1, (n, 1, 1), generator) + 0.4 * bends
    return (0.5 + reach * hands).clamp(0.1, 0.9).to(labels.device)


def _most_seen(seen: Tensor) -> Tensor:
    """The number 1..N of the class that covers most of each place, of shares [N,n,S,S]."""
    most, number = seen[0], torch.ones_like(seen[0])
    for own, share in enumerate(seen[1:], start=2):
        most, number = torch.maximum(most, share), torch.where(share > most, own, number)
    return number


def _shown(each: Tensor) -> Tensor:
    """Which classes [N,n] of masks [N,n,S,S] are there."""
    return each.flatten(2).any(2)


def _seen(each: Tensor) -> Tensor:
    """The share [N,n,S,S] of each place that N classes cover, a place being as wide as the thinnest of them tells."""
    size = each.shape[-1]
    thinnest = min((float(thickness(one)) for one in each if one.any()), default=1.0)
    places = min(max(size / (_PLACE * max(thinnest, 1.0)), 8), size)
    return by_places(each.flatten(0, 1), round(places)).view_as(each)


def by_places(maps: Tensor, places: int) -> Tensor:
    """Maps [n,S,S] as they are seen by so many places along a side: the mean of each place, and straight in between."""
    size = maps.shape[-1]
    coarse = F.interpolate(maps[:, None], (places, places), mode="area")
    return F.interpolate(coarse, (size, size), mode="bilinear", align_corners=False)[:, 0]


def thickness(masks: Tensor) -> Tensor:
    """The radius in pixels, in the mean over masks [n,S,S], of discs with their ratio of area to outline."""
    outline = (masks.diff(dim=-1) != 0).sum() + (masks.diff(dim=-2) != 0).sum()
    return 8 / math.pi * masks.sum() / outline.clamp(min=1)  # a disc of radius r has 8 r edges of pixels as its outline
