"""IA3: what a layer gives, multiplied channel by channel, whatever the layer."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor, nn

from medtap.adapters import AttachedAdapter, Ia3

LAYERS = [
    nn.Linear(6, 5),
    nn.Linear(6, 5, bias=False),
    nn.Conv2d(4, 6, 3, stride=2, padding=1, padding_mode="reflect"),
    nn.Conv2d(4, 8, 3, dilation=2, groups=4),
]


def inputs() -> Tensor:
    return torch.randn((2, 4, 6, 6), generator=Generator().manual_seed(0))


def attached_with_factors(network: nn.Module) -> tuple[AttachedAdapter, Tensor]:
    attached = Ia3("all").attach(network)
    (change,) = attached.parameters()
    factors = torch.linspace(0.5, 2, len(change))
    change.copy_(factors - 1)
    return attached, factors


@torch.no_grad()
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_it_multiplies_what_a_layer_gives(layer: nn.Module) -> None:
    network = nn.Sequential(layer)
    plain, old = network(inputs()), layer.weight.clone()
    attached, factors = attached_with_factors(network)
    expected = plain * factors.view((-1,) if isinstance(layer, nn.Linear) else (-1, 1, 1))
    torch.testing.assert_close(network(inputs()), expected)
    attached.merge()
    torch.testing.assert_close(network(inputs()), expected)
    torch.testing.assert_close(layer.weight, old * factors.view(-1, *[1] * (old.ndim - 1)))
    assert list(network.state_dict()) == ["0.weight", *["0.bias"] * (layer.bias is not None)]


def test_weight_decay_draws_the_factors_to_one() -> None:
    network = nn.Sequential(nn.Linear(6, 5))
    plain = network(inputs()).detach()
    with torch.no_grad():
        attached, _ = attached_with_factors(network)
    optimizer = torch.optim.AdamW(attached.parameters(), lr=0.1, weight_decay=5.0)
    for _ in range(30):
        network(inputs()).mul(0).sum().backward()
        optimizer.step()
    torch.testing.assert_close(network(inputs()), plain, atol=1e-5, rtol=1e-5)
