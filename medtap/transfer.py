"""Tensors on their way to a GPU while it computes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor

Batch: TypeAlias = Sequence[Tensor]

T = TypeVar("T")
S = TypeVar("S")


def uploaded(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """Bring batches of tensors to a device; to a GPU each one travels while the one before is computed with.

    Args:
        batches: of tensors of any shapes, on the CPU or on the device already. One is read ahead for a GPU.
        device: where to.

    Yields:
        The tensors of each batch on the device, ready for its current stream.
    """
    if device.type != "cuda":
        return ([tensor.to(device) for tensor in batch] for batch in batches)
    upload = _Upload(device)
    return one_ahead(batches, upload.start, upload.finish)


def one_ahead(items: Iterable[T], start: Callable[[T], S], finish: Callable[[S], Batch]) -> Iterator[Batch]:
    """Start work on each item before the result of the one before it is handed out."""
    begun: list[S] = []
    for item in items:
        begun.append(start(item))
        if len(begun) > 1:
            yield finish(begun.pop(0))
    yield from map(finish, begun)


class _Upload:
    """Copies from pinned memory on a stream of its own."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.stream = device, torch.cuda.Stream(device)

    def start(self, batch: Batch) -> tuple[Batch, torch.cuda.Event]:
        """Send tensors off; the event tells when they are there."""
        pinned = [tensor if tensor.is_cuda else tensor.pin_memory() for tensor in batch]
        with torch.cuda.stream(self.stream):
            return [tensor.to(self.device, non_blocking=True) for tensor in pinned], self.stream.record_event()

    def finish(self, begun: tuple[Batch, torch.cuda.Event]) -> Batch:
        """Have the current stream wait for them, and the allocator know that it uses them."""
        batch, there = begun
        current = torch.cuda.current_stream(self.device)
        current.wait_event(there)
        for tensor in batch:
            tensor.record_stream(current)
        return batch
