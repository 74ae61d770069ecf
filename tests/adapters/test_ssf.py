"""SSF: what layers and norms give, scaled and shifted by channel."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor, nn

from medtap.adapters import Ssf

LAYERS = [
    nn.Linear(4, 6),
    nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
    nn.Conv2d(4, 4, 3, groups=4),
    nn.LayerNorm(4),
    nn.GroupNorm(2, 4),
    nn.BatchNorm2d(4),
]


def inputs() -> Tensor:
    return torch.randn((2, 4, 4, 4), generator=Generator().manual_seed(0))


@torch.no_grad()
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_it_scales_and_shifts_what_a_layer_gives(layer: nn.Module) -> None:
    network = nn.Sequential(layer).eval()
    plain = network(inputs())
    attached = Ssf().attach(network)
    change, shift = attached.parameters()
    scale = torch.linspace(0.5, 2, len(change))
    change.copy_(scale - 1)
    shift.copy_(torch.linspace(-1, 1, len(shift)))
    view = (-1,) if isinstance(layer, nn.Linear | nn.LayerNorm) else (-1, 1, 1)
    torch.testing.assert_close(network(inputs()), plain * scale.view(view) + shift.view(view))
    attached.detach()
    assert torch.equal(network(inputs()), plain)


def test_a_layer_without_a_bias_is_scaled_alone() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4))
    attached = Ssf().attach(network)
    assert list(attached.state_dict()) == ["0.weight.scale_change", "1.weight.scale_change", "1.bias.shift"]
    attached.merge()
    assert network[0].bias is None


def test_norms_without_a_scale_are_left_out() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4, elementwise_affine=False), nn.LayerNorm((4, 4)))
    assert list(Ssf().attach(network).layers()) == ["0"]


def test_gradients_of_scale_come_through_weight_and_bias() -> None:
    network = nn.Sequential(nn.Linear(4, 3))
    images = torch.randn(5, 4, generator=Generator().manual_seed(0))
    attached = Ssf().attach(network)
    scale, shift = attached.parameters()
    plain = network(images).detach()
    network(images).sum().backward()
    torch.testing.assert_close(scale.grad, plain.sum(0))
    torch.testing.assert_close(shift.grad, torch.full((3,), 5.0))


def test_weight_decay_draws_the_scale_to_one_and_the_shift_to_nothing() -> None:
    network = nn.Sequential(nn.Linear(4, 3))
    images = torch.randn(5, 4, generator=Generator().manual_seed(0))
    plain = network(images).detach()
    attached = Ssf().attach(network)
    with torch.no_grad():
        for value in attached.parameters():
            value.fill_(0.5)
    optimizer = torch.optim.AdamW(attached.parameters(), lr=0.1, weight_decay=5.0)
    for _ in range(30):
        network(images).mul(0).sum().backward()
        optimizer.step()
    torch.testing.assert_close(network(images), plain, atol=1e-5, rtol=1e-5)
