"""In which precision to compute: bfloat16 where the processor multiplies in it, float32 elsewhere."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from medtap.options import refuse_unknown_choice

PRECISIONS = ("auto", "float32", "bfloat16")


def autocast(precision: str, device: torch.device | str, on_cpu: bool) -> AbstractContextManager[object]:
    """A context in which a network computes in a precision.

    Casts of weights are not kept within it, for they may be trained there.

    Args:
        precision: a name in ``PRECISIONS``; ``auto`` takes bfloat16 where the device multiplies in it.
        device: that computes.
        on_cpu: whether ``auto`` takes bfloat16 on CPUs too.

    Raises:
        OptionError: the name is unknown.
    """
    refuse_unknown_choice(f"no precision is called {precision!r}", precision, PRECISIONS)
    kind = torch.device(device).type
    able = (kind == "cuda" or on_cpu) and has_bfloat16(device)
    if precision == "float32" or (precision == "auto" and not able):
        return nullcontext()
    return torch.autocast(kind, torch.bfloat16, cache_enabled=False)


def has_bfloat16(device: torch.device | str) -> bool:
    """Whether a device multiplies in bfloat16; other CPUs only imitate that, slowly."""
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported()
