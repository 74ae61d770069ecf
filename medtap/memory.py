"""The process's memory: the C library's allocator told to keep what it has, and the most that was ever held."""

from __future__ import annotations

import ctypes
import functools
import resource
import sys
from pathlib import Path

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


def give_back_buffers() -> bool:
    """Give freed buffers back to the system once, where what comes next needs others than what has been.

    Returns:
        Whether the C library did it (glibc only).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL("libc.so.6").malloc_trim(0))
    except (OSError, AttributeError):
        return False


def peak_memory_mb() -> float:
    """The most memory this process has held, in MB of 2^20 bytes.

    On Linux a process's usage starts with what the program held that started it, so its status is asked instead.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        (held,) = (line.split()[1] for line in status.read_text("ascii").splitlines() if line.startswith("VmHWM:"))
        return round(int(held) / 1024, 1)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(used / (1024 if sys.platform != "darwin" else 1024**2), 1)
