"""Threads that wait for each other without keeping the processor busy."""

from __future__ import annotations

import os

_SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
_TURNS = "1000"


def sleep_while_waiting() -> None:
    """Have OpenMP's threads fall asleep soon when they wait for each other.

    They spin for milliseconds otherwise; where another program keeps a core busy, two threads then take twenty times as
    long as one. OpenMP reads this when torch is imported, so it must be said before; a user's own setting is kept.
    """
    if not any(setting in os.environ for setting in _SETTINGS):
        os.environ["GOMP_SPINCOUNT"] = _TURNS
