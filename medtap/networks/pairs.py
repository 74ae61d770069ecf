"""Heads that match a query with one shot: all pairs of query and shot decoded, and the logits averaged over shots."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from medtap.networks.segmenter import Features, Memory

PairDecoder: TypeAlias = Callable[[Features, Memory], Tensor]
"""Decodes P pairs: query features [P,C,h,w] and what is kept of a shot, [P,...], into logits [P,2,h,w]."""

_CELLS = 2**24  # of a 4D tensor of all pairs decoded at once; two pairs at 400 pixels, a few hundred MB


def mean_over_shots(decode: PairDecoder, query: Features, memory: Memory, grid: torch.Size) -> Tensor:
    """Decode each query against each of its shots and average the logits.

    The published K-shot predictions are votes, which have no gradient. The mean has one in every shot, and is the
    published prediction at K = 1.

    Pairs are decoded as one batch, or in parts where that takes too much memory; where a gradient is wanted, parts are
    then decoded anew for it instead of being kept.

    Args:
        decode: decodes pairs.
        query: features [B,C,h,w].
        memory: [B,K,...].
        grid: h' and w' of the finest support map.

    Returns:
        Logits [B,2,h,w].
    """
    batch, shots = memory[0].shape[:2]
    most = max(1, _CELLS // (math.prod(query[0].shape[-2:]) * math.prod(grid)))
    if batch * shots > most and torch.is_grad_enabled():
        decode = partial(checkpoint, decode, use_reentrant=False, preserve_rng_state=False)
    if batch <= most:
        return _shot_parts(decode, query, memory, max(1, most // batch))
    parts = zip(_split(query, most, 0), _split(memory, most, 0), strict=True)
    return torch.cat([_shot_parts(decode, *part, 1) for part in parts])


def _shot_parts(decode: PairDecoder, query: Features, memory: Memory, most: int) -> Tensor:
    """Decode queries against at most so many shots at once, and average over all K."""
    sums = [_sum_over_shots(decode, query, part) for part in _split(memory, most, 1)]
    return torch.stack(sums).sum(0) / memory[0].shape[1]


def _sum_over_shots(decode: PairDecoder, query: Features, memory: Memory) -> Tensor:
    shots = memory[0].shape[1]
    repeated = tuple(level.unsqueeze(1).expand(-1, shots, -1, -1, -1).flatten(0, 1) for level in query)
    logits = decode(repeated, tuple(kept.flatten(0, 1) for kept in memory))
    return logits.unflatten(0, (-1, shots)).sum(1)


def _split(tensors: tuple[Tensor, ...], most: int, dim: int) -> Iterator[tuple[Tensor, ...]]:
    return zip(*(tensor.split(most, dim) for tensor in tensors), strict=True)
