"""The peak of memory begun anew."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from medtap.benchmarks.fresh_peak import begin_peak
from medtap.memory import peak_memory_mb


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux begins a peak anew")
def test_what_was_held_before_is_not_counted():
    begin_peak()
    before = peak_memory_mb()
    np.ones(200 << 17)  # 200 MB
    held = peak_memory_mb()
    assert held > before + 150
    begin_peak()
    assert peak_memory_mb() < held - 150
