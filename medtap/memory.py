"""The C library's allocator, told to keep what it has."""

from __future__ import annotations

import ctypes
import functools
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


@functools.cache
def keep_large_buffers() -> bool:
    """Keep freed buffers of up to 1 GB in the process instead of returning them to the system at every step.

    glibc maps and unmaps large buffers anew each time, and the page faults can cost a CPU more than its arithmetic.

    Returns:
        Whether the allocator took the setting (glibc only).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, 1 << 30) and mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1))
