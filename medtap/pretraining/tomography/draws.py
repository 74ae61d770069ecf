"""Draws that the slices share."""

from __future__ import annotations

import torch
from torch import Generator, Tensor


def jitter(value: float, spread: float, n: int, generator: Generator) -> Tensor:
    """One value a patient, [n,1,1], spread around the task's value."""
    return value + spread * torch.randn((n, 1, 1), generator=generator)
