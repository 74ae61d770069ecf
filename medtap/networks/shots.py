"""Which shots a pseudo-query sees: leave-one-out over a memory, decoded in one batch."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from medtap.networks.segmenter import Memory


def leave_one_out(shots: int, drawn: int | None = None, generator: Generator | None = None) -> Tensor:
    """For each of K shots, the other shots that it is segmented by.

    Args:
        shots: K, at least 2.
        drawn: draw this many of the K - 1 others at random; all of them in order when None.
        generator: source of chance for the draw.

    Returns:
        Indices [K, min(drawn, K - 1)].
    """
    others = torch.tensor([[other for other in range(shots) if other != shot] for shot in range(shots)])
    if drawn is None or drawn >= shots - 1:
        return others
    order = torch.rand(others.shape, generator=generator).argsort(1)[:, :drawn]
    return others.gather(1, order)


def select_shots(memory: Memory, index: Tensor) -> Memory:
    """From a memory [B,K,...], the shots index [Q,M] of each query: [B*Q,M,...], queries of one set side by side.

    By ``index_select``, whose gradient is summed in a fixed order: that of ``memory[:, index]`` is summed by several
    threads at once, and adapters of the same seed would differ in their last bits.
    """
    chosen = (kept.index_select(1, index.flatten()).unflatten(1, index.shape) for kept in memory)
    return tuple(kept.flatten(0, 1) for kept in chosen)
