"""The process's memory: the C library's allocator told to keep what it has, and the most that was ever held."""

from __future__ import annotations

import ctypes
import functools
import resource
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


@functools.cache
def keep_large_buffers() -> bool:
    """Keep freed buffers of up to 1 GB in the process instead of returning them to the system at every step.

    glibc maps and unmaps large buffers anew each time, and the page faults can cost a CPU more than its arithmetic.
    Versions of glibc that refuse so high a threshold get the highest they take, 32 MB.

    Returns:
        Whether the allocator took the setting (glibc only).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    kept = mallopt(_M_MMAP_THRESHOLD, 1 << 30) or mallopt(_M_MMAP_THRESHOLD, 32 << 20)
    return bool(mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1) and kept)


def peak_memory_mb() -> float:
    """The most memory this process has held, in MB of 2^20 bytes."""
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(held / (1024 if sys.platform != "darwin" else 1024**2), 1)
