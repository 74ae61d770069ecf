"""The peak of the process's memory begun anew, so that methods run one after another are told apart."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

_RESET = "/proc/self/clear_refs"
_RESET_PEAK = "5"  # see proc(5)


def begin_peak() -> None:
    """Give free memory back to the system and let `medtap.memory.peak_memory_mb` count from now on.

    Elsewhere than on Linux, or where its kernel refuses, the peak stays that of the whole process so far.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path(_RESET).write_text(_RESET_PEAK, encoding="ascii")
    except (OSError, AttributeError):
        return
