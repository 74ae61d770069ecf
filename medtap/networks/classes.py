"""N classes over a network that tells one class from the rest: one binary decode a class, combined in one place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from medtap.networks.segmenter import Features, FewShotSegmenter, Memory, unfold_shots
from medtap.networks.shots import select_shots


def class_masks(masks: Tensor, classes: int) -> Tensor:
    """Turn label maps [K,H,W] in 0..N into one binary float mask a class, [N,K,H,W]."""
    return torch.stack([(masks == label).float() for label in range(1, classes + 1)])


def remember_classes(network: FewShotSegmenter, support: Features, masks: Tensor, classes: int) -> Memory:
    """Digest support features [K,C,h,w] and labels [K,H,W] in 0..N into a memory [N,K,...], a class an entry."""
    shots = unfold_shots(support, 1)
    each = [network.remember(shots, mask.unsqueeze(0)) for mask in class_masks(masks, classes)]
    return tuple(torch.cat(parts) for parts in zip(*each, strict=True))


def recall_classes(
    network: FewShotSegmenter, query: Features, memory: Memory, size: torch.Size, shots: Tensor | None = None
) -> Tensor:
    """Segment queries into all classes.

    Args:
        network: the network that made the memory.
        query: features [B,C,h,w] of B queries.
        memory: [N,K,...] of N classes.
        size: H and W of the logits.
        shots: indices [B,M] of the shots that each query is segmented by; all of them when None.

    Returns:
        Logits [B,N+1,H,W], background first.
    """
    each = _memory_of_each(memory, query[0].shape[0]) if shots is None else _chosen(memory, shots)
    return _recall_each(network, query, each, size)


def recall_by_itself(network: FewShotSegmenter, query: Features, memory: Memory, logits: Tensor) -> Tensor:
    """Segment queries once more, each with its own prediction as one more shot.

    A query resembles itself more than any support image: self-support, as Fan et al. (ECCV 2022) match prototypes, here
    of whatever the network remembers of a shot.

    Args:
        network: the network that made the memory.
        query: features [B,C,h,w] of B queries.
        memory: [N,K,...] of N classes.
        logits: [B,N+1,H,W] found so far, whose softmax is the masks of the new shot.

    Returns:
        Logits [B,N+1,H,W], background first.
    """
    itself, masks = tuple(level.unsqueeze(1) for level in query), logits.softmax(1)[:, 1:].split(1, dim=1)
    own = (network.remember(itself, mask) for mask in masks)
    both = zip(_memory_of_each(memory, query[0].shape[0]), own, strict=True)
    each = (tuple(torch.cat(pair, dim=1) for pair in zip(*shots, strict=True)) for shots in both)
    return _recall_each(network, query, each, logits.shape[-2:])


def _memory_of_each(memory: Memory, queries: int) -> Iterator[Memory]:
    """Of each class its memory, the same for every query: each [B,K,...]."""
    for label in range(memory[0].shape[0]):
        yield tuple(kept[label : label + 1].expand(queries, *kept.shape[1:]) for kept in memory)


def _chosen(memory: Memory, shots: Tensor) -> Iterator[Memory]:
    """Of each class the shots [B,M] of each query: each [B,M,...]."""
    for label in range(memory[0].shape[0]):
        yield select_shots(tuple(kept[label : label + 1] for kept in memory), shots)


def _recall_each(network: FewShotSegmenter, query: Features, memories: Iterable[Memory], size: torch.Size) -> Tensor:
    """Decode queries against the memory of each class: logits [B,N+1,H,W], background first."""
    binary = torch.stack([network.recall(query, memory) for memory in memories])
    return beside_background(network.resize(class_leads(binary), size))


def class_leads(binary_logits: Tensor) -> Tensor:
    """By how much the foreground of N binary decodes [N,B,2,H,W] leads over their background, [B,N,H,W]."""
    return (binary_logits[:, :, 1] - binary_logits[:, :, 0]).transpose(0, 1)


def beside_background(leads: Tensor) -> Tensor:
    """Logits [B,N+1,H,W] over background and classes: a class's is its lead [B,N,H,W], the background's is 0.

    So background wins where no class leads. For N = 1 the softmax over the result equals the binary one.
    """
    return torch.cat([torch.zeros_like(leads[:, :1]), leads], dim=1)
