"""Random numbers by a seed, which leave the process's own as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device | str) -> Iterator[None]:
    """Draw from a seed inside; outside, every generator goes on as if nothing had been drawn."""
    cuda = list(range(torch.cuda.device_count())) if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)
        if cuda:  # torch.manual_seed would seed a GPU that is not used, and leave it so
            torch.cuda.manual_seed_all(seed)
        yield
