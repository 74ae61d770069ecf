"""Random numbers by a seed, and what is drawn of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Generator, Tensor
from torch.nn import functional as F


@contextmanager
def seeded(seed: int, device: torch.device | str) -> Iterator[None]:
    """Draw from a seed inside; outside, every generator goes on as if nothing had been drawn."""
    cuda = list(range(torch.cuda.device_count())) if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)
        if cuda:  # torch.manual_seed would seed a GPU that is not used, and leave it so
            torch.cuda.manual_seed_all(seed)
        yield


def uniform(low: float, high: float, shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Uniform draws in [low, high) of a shape."""
    return torch.rand(shape, generator=generator) * (high - low) + low


def pick(low: int, high: int, generator: Generator) -> int:
    """One integer from low to high, both included."""
    return int(torch.randint(low, high + 1, (1,), generator=generator))


def smooth_noise(shape: tuple[int, int], size: int, cells: int, generator: Generator) -> Tensor:
    """Smooth noise [*shape,S,S] of about unit deviation whose features are S/cells pixels wide."""
    coarse = torch.randn((*shape, cells + 3, cells + 3), generator=generator)
    fine = F.interpolate(coarse, scale_factor=math.ceil(size / cells), mode="bicubic", align_corners=False)
    start = math.ceil(size / cells)
    return fine[..., start : start + size, start : start + size]
