"""Numbers that float16 holds exactly, so that they can be saved in half the bytes and come back as they were."""

from __future__ import annotations

import torch
from torch import Tensor


def rounded(values: Tensor) -> Tensor:
    """The nearest values that float16 holds, in their own dtype; as they are where it does not reach that far."""
    half = values.half().to(values.dtype)
    return half if bool(half.isfinite().all()) else values


def compact(values: Tensor) -> Tensor:
    """Values in float16 where it holds every one of them, else as they are."""
    half = values.half()
    return half if values.is_floating_point() and torch.equal(half.to(values.dtype), values) else values
