"""Which shots a pseudo-query sees: leave-one-out over a memory, decoded in one batch."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from medtap.networks.segmenter import Memory


def leave_one_out(
    shots: int,
    drawn: int | None = None,
    generator: Generator | None = None,
    volumes: Tensor | None = None,
    shown: Tensor | None = None,
) -> Tensor:
    """For each of K shots, the other shots that it is segmented by.

    Args:
        shots: K, at least 2.
        drawn: draw this many of the others at random; all of them in order when None, or at random as many as the one
            with the fewest has.
        generator: source of chance for the draw.
        volumes: number [K] of the volume that a shot is a plane of. Shots of its own volume are no others, for they
            would give it away, unless there is no second volume. Each has its own when None.
        shown: which [K] show a class; one that shows none is a shot of nothing. All of them when None.

    Returns:
        Indices [K,M], M the least of ``drawn`` and the number of others of any shot.
    """
    shown = torch.ones(shots, dtype=torch.bool) if shown is None else shown.cpu()
    own = torch.arange(shots) if volumes is None or len(volumes.cpu()[shown].unique()) == 1 else volumes.cpu()
    barred = (own[:, None] == own) | ~shown
    others = barred.float().argsort(dim=1, stable=True)  # those of other volumes first, in order
    counts = (~barred).sum(1)
    fewest, most = int(counts.min()), int(counts.max())
    if (drawn is None or drawn >= fewest) and fewest == most:
        return others[:, :fewest]
    chance = torch.rand((shots, most), generator=generator)
    chance[torch.arange(most) >= counts[:, None]] = torch.inf
    return others.gather(1, chance.argsort(1)[:, : min(drawn or fewest, fewest)])


def select_shots(memory: Memory, index: Tensor) -> Memory:
    """From a memory [B,K,...], the shots index [Q,M] of each query: [B*Q,M,...], queries of one set side by side.

    By ``index_select``, whose gradient is summed in a fixed order: that of ``memory[:, index]`` is summed by several
    threads at once, and adapters of the same seed would differ in their last bits.
    """
    chosen = (kept.index_select(1, index.flatten()).unflatten(1, index.shape) for kept in memory)
    return tuple(kept.flatten(0, 1) for kept in chosen)
