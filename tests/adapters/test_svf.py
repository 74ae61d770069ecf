"""SVF: of every weight only the singular values are trained, whatever the layer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from transformers import ResNetBackbone, ResNetConfig

from medtap.adapters import Svf
from medtap.adapters.attached_change import AttachedChange
from medtap.adapters.targets import choose_targets, is_linear_or_convolution
from medtap.errors import WeightsError

CONVOLUTIONS: list[dict[str, Any]] = [
    {"kernel_size": 1, "bias": False},
    {"kernel_size": 3, "stride": 2, "dilation": 2, "padding": 2},
    {"kernel_size": (3, 5), "padding": "same", "padding_mode": "reflect"},
    {"kernel_size": 3, "groups": 2, "padding": 1},
    {"kernel_size": 7, "groups": 4, "padding": 3, "padding_mode": "circular"},
]


def images() -> Tensor:
    return torch.randn((2, 4, 12, 12), generator=Generator().manual_seed(0), dtype=torch.float64)


def shifted(network: nn.Module, size: float = 0.3) -> AttachedChange:
    attached = Svf().attach(network)
    with torch.no_grad():
        for parameter in attached.parameters():
            parameter.copy_(size * torch.randn(parameter.shape, generator=Generator().manual_seed(1)))
    return attached


@torch.no_grad()
def test_the_hand_computed_case() -> None:
    network = nn.Sequential(nn.Linear(2, 2, bias=False))
    network[0].weight.copy_(torch.diag(torch.tensor([3.0, 4.0])))
    attached = Svf().attach(network)
    (shift,) = attached.parameters()
    shift.copy_(torch.tensor([[1.0, 0.0]]))  # S = (4, 3) becomes (5, 3)
    torch.testing.assert_close(network(torch.ones(2)), torch.tensor([3.0, 5.0]))


@torch.no_grad()
@pytest.mark.parametrize("options", CONVOLUTIONS)
def test_every_kind_of_convolution(options: dict[str, Any]) -> None:
    network = nn.Sequential(nn.Conv2d(4, 8, **options)).double()
    plain = network(images())
    attached = Svf().attach(network)
    assert torch.equal(network(images()), plain)
    attached.detach()
    attached = shifted(network)
    changed = network(images())
    assert not torch.allclose(changed, plain)
    attached.merge()
    assert type(network[0]) is nn.Conv2d
    torch.testing.assert_close(network(images()), changed, atol=1e-12, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("groups", [1, 2])
def test_it_equals_the_paper_s_three_steps(groups: int) -> None:
    """Section 3.2: a convolution by V^T as it was, a factor a channel, a 1x1 convolution by U and the bias."""
    convolution = nn.Conv2d(4, 8, 3, stride=2, padding=2, dilation=2, groups=groups).double()
    matrices = convolution.weight.view(groups, 8 // groups, -1)
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    rank = values.shape[1]
    network = nn.Sequential(convolution)
    attached = shifted(network)
    (shift,) = attached.parameters()
    geometry = {"stride": 2, "padding": 2, "dilation": 2, "groups": groups}
    first = F.conv2d(images(), right.reshape(groups * rank, -1, 3, 3), **geometry)
    scaled = first * (values + shift).view(1, -1, 1, 1)
    expected = F.conv2d(scaled, left.reshape(8, rank, 1, 1), convolution.bias, groups=groups)
    torch.testing.assert_close(network(images()), expected, atol=1e-12, rtol=0)


@torch.no_grad()
def test_reset_is_exactly_the_old_weight() -> None:
    network = nn.Sequential(nn.Linear(5, 3))
    old = network[0].weight.clone()
    attached = shifted(network)
    attached.reset(Generator())
    assert torch.equal(network[0].weight, old)


def test_singular_values_alone_are_trained() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 7, groups=8), nn.BatchNorm2d(8), nn.Linear(8, 2))
    attached = Svf().attach(network)
    shapes = {name: tuple(value.shape) for name, value in attached.state_dict().items()}
    assert shapes == {"0.weight.shift": (1, 8), "1.weight.shift": (8, 1), "3.weight.shift": (1, 2)}
    assert sorted(attached.layers()) == ["0", "1", "3"]


def test_resnet_50_has_as_many_singular_values_as_the_paper_says() -> None:
    stages = {"out_features": ["stage4"]}
    with torch.device("meta"):
        network = ResNetBackbone(ResNetConfig(**stages))
    names = choose_targets(network, "re:stages[.][123][.]", is_linear_or_convolution)
    counts = {name: min(network.get_submodule(name).weight.flatten(1).shape) for name in names}
    assert sum(counts.values()) == 12_544
    assert sum(count for name, count in counts.items() if "shortcut" in name) == 1_792


def test_values_of_another_layer_are_refused() -> None:
    values = Svf().attach(nn.Sequential(nn.Linear(3, 3))).state_dict()
    with pytest.raises(WeightsError, match=r"the SVF values do not fit the encoder, first at '0.weight.shift'"):
        Svf().attach(nn.Sequential(nn.Linear(4, 4))).load_state_dict(values)
