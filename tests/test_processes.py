"""What processes share; alone each has its own (of two processes: tests/pretraining and tests/workflows)."""

from __future__ import annotations

import torch

from medtap.processes import average_gradients, mean_of_all, place, tell_all


def test_one_process_is_all() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    average_gradients([parameter])
    assert parameter.grad is None
    assert (place(), tell_all(False), mean_of_all(0.5, torch.device("cpu"))) == ((0, 1), False, 0.5)
