"""How many planes a GPU's free memory holds at once."""

from __future__ import annotations

from collections.abc import Callable

import torch

_ON_CPU, _MOST = 8, 256
_SHARE = 0.8  # of free memory; what pieces the allocator has it in is not known


def batch_that_fits(device: torch.device, segment_one: Callable[[], object]) -> int:
    """Planes to segment at once: 8 on the CPU, and on a GPU as many as fit beside what is there.

    Args:
        device: that segments.
        segment_one: segments one plane; called on a GPU alone, to see what it takes.
    """
    if device.type != "cuda":
        return _ON_CPU
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    segment_one()
    taken = torch.cuda.max_memory_allocated(device) - before
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return planes_that_fit(torch.cuda.mem_get_info(device)[0] + unused, taken)


def planes_that_fit(free: int, each: int) -> int:
    """From 1 to 256 planes that take so many bytes each, in a share of the free bytes."""
    return min(_MOST, max(1, int(_SHARE * free / max(each, 1))))
