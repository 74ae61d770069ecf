"""The allocator's settings and the peak of the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from medtap import memory


@pytest.fixture(autouse=True)
def asked_anew() -> None:
    memory.keep_large_buffers.cache_clear()


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not memory.keep_large_buffers()
    assert not memory.give_back_buffers()


@pytest.mark.parametrize("error", [OSError, AttributeError])
def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def absent(_: str) -> None:
        raise error

    monkeypatch.setattr(memory.ctypes, "CDLL", absent)
    assert not memory.keep_large_buffers()
    assert not memory.give_back_buffers()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_freed_buffers_stay_in_the_process() -> None:
    """In a process of its own: after a warm-up, a 64 MB buffer made and freed again costs no new pages."""
    script = """
import resource, sys
import numpy as np
from medtap.memory import keep_large_buffers
if not keep_large_buffers():
    sys.exit("the allocator refused")
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        np.empty(64 * 2**20, np.uint8).fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    if "refused" in run.stderr:
        pytest.skip("this C library does not take the setting")
    assert int(run.stdout) < 1000, run.stderr  # with the usual settings: 16384 pages for each of the five


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_kept_buffers_are_given_back_when_asked() -> None:
    """In a process of its own, which holds 256 MB, half of it in buffers between others, and frees that half."""
    script = """
import sys
from pathlib import Path
import numpy as np
from medtap.memory import give_back_buffers, keep_large_buffers
if not keep_large_buffers():
    sys.exit("the allocator refused")
def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
buffers = [np.ones(4 * 2**20, np.uint8) for _ in range(64)]
del buffers[::2]
before = held()
give_back_buffers()
print(before - held())
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    if "refused" in run.stderr:
        pytest.skip("this C library does not take the setting")
    assert float(run.stdout) > 100, run.stderr


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="Linux only")
def test_peak_is_not_that_of_the_process_that_started_this_one() -> None:
    held = torch.ones(2**26)
    script = "from medtap.memory import peak_memory_mb; print(peak_memory_mb())"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(run.stdout) < 64
    assert len(held) == 2**26


def test_peak_is_at_least_what_is_held() -> None:
    held = torch.ones(2**24)
    assert memory.peak_memory_mb() > 64
    assert len(held) == 2**24
