"""Several predictions of one picture made into one: of its mirror images, and by subsets of the support set."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import comb

import torch
from torch import Tensor

from medtap.errors import OptionError

FLIPS: dict[str, tuple[tuple[int, ...], ...]] = {
    "none": ((),),
    "horizontal": ((), (-1,)),
    "both": ((), (-1,), (-2,), (-2, -1)),
}
"""The axes along which each view of a picture [...,H,W] is mirrored, the picture itself first."""


def mean_prediction(logits: Tensor) -> Tensor:
    """Average the class probabilities of M predictions; a single one passes as it is.

    The mean is of probabilities, not of logits, so that a prediction that is sure and wrong has one vote of M, however
    sure it is: the linear opinion pool (Stone, 1961), or deep ensembles' mixture (Lakshminarayanan et al., NeurIPS
    2017, section 2.4). Its logarithm is given, which is as good as logits for whatever follows.

    Args:
        logits: [M,B,N+1,H,W].

    Returns:
        Log-probabilities [B,N+1,H,W]; the logits themselves for M = 1.
    """
    if len(logits) == 1:
        return logits[0]
    return logits.log_softmax(2).logsumexp(0) - torch.tensor(len(logits)).log()


def segment_flipped(network: Callable[[Tensor], Tensor], images: Tensor, flips: str) -> Tensor:
    """Segment images and their mirror images, and average what is mirrored back.

    Args:
        network: from images [B,3,H,W] to logits [B,N+1,H,W]; called once a view.
        images: [B,3,H,W] in [0,1].
        flips: a name in `FLIPS`.

    Returns:
        As ``mean_prediction``.
    """
    return mean_prediction(torch.stack([network(images.flip(axes)).flip(axes) for axes in FLIPS[flips]]))


def support_subsets(shots: int, count: int) -> Tensor:
    """Choose different subsets of a support set, without chance, each leaving out as few shots as give so many.

    Args:
        shots: K.
        count: how many subsets S; at least 1.

    Returns:
        Indices [S, M] with K / 2 <= M < K, spread evenly over all subsets of M shots.

    Raises:
        OptionError: K shots have fewer such subsets.
    """
    for left_out in range(1, shots // 2 + 1):
        if count <= comb(shots, left_out):
            every = list(combinations(range(shots), shots - left_out))
            return torch.tensor([every[index * len(every) // count] for index in range(count)])
    most = comb(shots, shots // 2) if shots > 1 else 0
    raise OptionError(
        "a support set does not have so many subsets",
        expected=f"0 to {most} subsets of {shots} shots",
        found=str(count),
        remedy="ask for fewer (--subsets)" if most else "with one shot there is nothing to leave out",
    )
