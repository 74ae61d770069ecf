"""The peak of the process's memory begun anew, so that methods run one after another are told apart."""

from __future__ import annotations

from pathlib import Path

from medtap.memory import give_back_buffers

_RESET = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # see proc(5)


def begin_peak() -> None:
    """Give free memory back to the system and let `medtap.memory.peak_memory_mb` count from now on.

    Elsewhere than on Linux, or where its kernel refuses, the peak stays that of the whole process so far.
    """
    give_back_buffers()
    try:
        _RESET.write_text(_RESET_PEAK, encoding="ascii")
    except OSError:
        return
