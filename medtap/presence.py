"""Whether a class is in a picture at all, told by how sure a network is of what it finds there.

A few-shot network finds something in nearly every picture, for every picture of its training showed the class. Where a
support set has pictures with a class and pictures without it, each of them is segmented by the others, leave-one-out,
and shows how sure the network is of the class where it is and where it is not. (An adapter has been trained on them all
the same, and is surer in both than of new pictures.) A class that the network is less sure of than halfway between the
two is then left out of a picture. Where the two overlap, what is sure although nothing is there is passed over: the
bound keeps below the tenth percentile of the pictures that show the class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from medtap.half_precision import rounded
from medtap.networks.classes import recall_classes
from medtap.networks.segmenter import Features, FewShotSegmenter, Memory
from medtap.networks.shots import leave_one_out

_OF_THE_LEAST = 0.5  # of the class's area in the support mask that holds the least of it
_TENTH = 0.1  # of the pictures with a class, those that the network is least sure of, are passed over
_FEWEST = 2  # pictures that show a class, to be told apart from those that do not
_BEHIND = 10.0  # by how much a class that is left out lies behind the background, in logits


class Presence(NamedTuple):
    """How to tell that a picture shows a class.

    Attributes:
        area: share of a picture's pixels that are looked at, the likeliest of the class.
        least: mean probability of the class there, below which the picture does not show it; 0 where every picture is
            taken to show it.
    """

    area: float = 0.0
    least: float = 0.0


def tells_anything(presence: Sequence[Presence]) -> bool:
    """Whether there is a class that may be left out of a picture."""
    return any(each.least > 0 for each in presence)


def evidence(logits: Tensor, areas: Sequence[float]) -> Tensor:
    """How sure a network is of each class where it is surest: the mean probability over a share of the pixels.

    Args:
        logits: [B,N+1,H,W].
        areas: of each class, the share of the pixels, at least one of them.

    Returns:
        [B,N] in [0,1].
    """
    likely = logits.softmax(1)[:, 1:].flatten(2)
    counts = [max(1, int(area * likely.shape[2] + 0.5)) for area in areas]
    surest = (each.topk(count).values for each, count in zip(likely.unbind(1), counts, strict=True))
    return torch.stack([values.mean(1) for values in surest], dim=1)


def without_absent(logits: Tensor, seen: Tensor, presence: Sequence[Presence]) -> Tensor:
    """Leave a class out of the pictures that do not show it.

    Args:
        logits: [B,N+1,H,W], background first.
        seen: the ``evidence`` [B,N] of each class, which may be of an earlier look.
        presence: of the N classes.

    Returns:
        Logits [B,N+1,H,W] in which a class lies behind the background wherever it is absent.
    """
    absent = seen < seen.new_tensor([each.least for each in presence])
    background, classes = logits[:, :1], logits[:, 1:]
    left_out = torch.minimum(classes, background - _BEHIND)
    return torch.cat([background, torch.where(absent[:, :, None, None], left_out, classes)], dim=1)


@torch.no_grad()
def learn_presence(
    network: FewShotSegmenter, features: Features, memory: Memory, masks: Tensor, volumes: Tensor
) -> tuple[Presence, ...]:
    """Learn from a support set how to tell that a picture shows a class.

    Args:
        network: adapted.
        features: of K pictures [K,C,h,w], those that show no class last.
        memory: of the K' that show any class, and so are shots, each [N,K',...].
        masks: labels [K,S,S] in 0..N.
        volumes: number [K] of the volume that each is a plane of, see ``leave_one_out``.

    Returns:
        Of each class. It is ``Presence()`` where the set cannot tell: every picture shows the class, fewer than two do
        while another shot does, or the network looks at no support image, so that all is as it learned it.
    """
    shares = torch.stack([(masks == label).float().mean((1, 2)) for label in range(1, len(memory[0]) + 1)], dim=1)
    shows = shares > 0
    tells = (shows.sum(0) >= _FEWEST) & ~shows.all(0)
    if not (network.looks_at_support and bool(tells.any())):
        return (Presence(),) * shows.shape[1]
    shots = leave_one_out(len(masks), None, Generator().manual_seed(0), volumes, shows.any(1)).to(masks.device)
    areas = (_OF_THE_LEAST * shares.where(shows, 1.0).amin(0)).tolist()
    seen = []
    for index, shown in enumerate(shots):
        query = tuple(level[index : index + 1] for level in features)
        seen.append(evidence(recall_classes(network, query, memory, masks.shape[1:], shown[None]), areas))
    sure, taught = torch.cat(seen), shows[shots].any(1)  # a class that no shot shows is not looked for
    least = [_halfway(*columns) for columns in zip(sure.unbind(1), shows.unbind(1), taught.unbind(1), strict=True)]
    values = rounded(torch.tensor([areas, least])).unbind(1)
    return tuple(Presence(*each.tolist()) if each[1] > 0 else Presence() for each in values)


def _halfway(sure: Tensor, shows: Tensor, taught: Tensor) -> float:
    """Halfway between the least sure pictures with a class and the surest below them without; 0 where there is none."""
    there = sure[shows & taught]
    if len(there) < _FEWEST:
        return 0.0
    surely = there.quantile(_TENTH)
    not_there = sure[~shows & taught & (sure < surely)]
    return float(surely + not_there.max()) / 2 if len(not_there) else 0.0
