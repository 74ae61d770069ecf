"""Random numbers by a seed."""

from __future__ import annotations

import torch

from medtap.chance import seeded


def test_draws_are_the_seed_s_and_leave_the_process_s_own_alone() -> None:
    torch.manual_seed(1)
    untouched = torch.rand(3)
    torch.manual_seed(1)
    with seeded(7, "cpu"):
        inside = torch.rand(3)
    assert torch.equal(torch.rand(3), untouched)
    with seeded(7, torch.device("cpu")):
        assert torch.equal(torch.rand(3), inside)
