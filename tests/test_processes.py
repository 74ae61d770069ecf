"""What processes share; alone each has its own (of two processes: tests/pretraining and tests/workflows)."""

from __future__ import annotations

import os

import pytest
import torch

from medtap.processes import average_gradients, cores_each, mean_of_all, place, tell_all


def test_one_process_is_all() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    average_gradients([parameter])
    assert parameter.grad is None
    assert (place(), tell_all(False), mean_of_all(0.5, torch.device("cpu"))) == ((0, 1), False, 0.5)


def test_processes_of_a_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    assert cores_each() == 16
    for processes, each in ((8, 2), (3, 5), (20, 1)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
        assert cores_each() == each
