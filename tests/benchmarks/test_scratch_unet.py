"""The U-Net trained from scratch learns what it is shown, alike for a seed."""

from __future__ import annotations

import pytest
import torch

from medtap.benchmarks.scratch_unet import ScratchUnet
from medtap.errors import OptionError
from tests.tiny import support_set


def test_learns_the_support_set():
    support = support_set(3, classes=2, size=48)
    found = ScratchUnet(size=48, steps=20, learning_rate=5e-3).learn(support).segment(support.images).argmax(1)
    overlap = ((found > 0) & (support.masks > 0)).sum() / ((found > 0) | (support.masks > 0)).sum()
    assert overlap > 0.6


def test_a_seed_gives_the_same_network_and_draws_nothing_outside():
    support, before = support_set(2, size=32), torch.random.get_rng_state()
    first, again, other = (
        ScratchUnet(size=32, steps=2, batch=2, seed=seed).learn(support).segment(support.images) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("options", [{"steps": 0}, {"batch": 0}, {"learning_rate": 0.0}, {"size": 100}])
def test_numbers_that_cannot_be_are_refused(options):
    with pytest.raises(OptionError, match="a U-Net that cannot be trained"):
        ScratchUnet(**options)
