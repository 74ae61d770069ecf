"""The re-stated reference gives what medtap's own loop gives under the paper's schedule."""

from __future__ import annotations

import torch

from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapters import Lora
from medtap.benchmarks.reference import reference_query
from tests.tiny import random_images, support_set, tiny_network


def test_agrees_with_the_loop():
    network, support, query = tiny_network(), support_set(3), random_images(1, seed=9)
    options = TapOptions(passes=2, loss="focal", schedule="per_support", guard="none", seed=4, precision="float32")
    lora = Lora(rank=2, dropout=0.0)
    with torch.no_grad():
        ours = take_a_peek(network, support, lora, options)(query)
    theirs = reference_query(network, query, support.images, support.masks, lora, options)
    lead = theirs[:, 1] - theirs[:, 0]
    torch.testing.assert_close(ours[:, 1], lead, atol=1e-3, rtol=1e-3)
