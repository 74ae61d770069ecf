"""DoRA, LoHa and LoKr, peft's: the weights that they make, restated slowly, on every kind of layer that they take."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor, nn

from medtap.adapters import Adapter, AttachedAdapter, Dora, LoHa, LoKr
from medtap.errors import OptionError

Restated = Callable[[Tensor, dict[str, Tensor]], Tensor]


def attached_with_values(network: nn.Module, adapter: Adapter) -> AttachedAdapter:
    attached = adapter.attach(network)
    generator = Generator().manual_seed(0)
    attached.reset(generator)
    with torch.no_grad():
        for parameter in attached.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return attached


def dora(weight: Tensor, part: dict[str, Tensor]) -> Tensor:
    direction = weight + 3.0 / 2 * part["lora_B.weight"] @ part["lora_A.weight"]
    return part["lora_magnitude_vector.weight"].view(-1, 1) * direction / direction.norm(dim=1, keepdim=True)


def loha(weight: Tensor, part: dict[str, Tensor]) -> Tensor:
    first, second = part["hada_w1_a"] @ part["hada_w1_b"], part["hada_w2_a"] @ part["hada_w2_b"]
    return weight + 3.0 / 2 * first * second


def lokr(weight: Tensor, part: dict[str, Tensor]) -> Tensor:
    return weight + 3.0 / 2 * torch.kron(part["lokr_w1"], part["lokr_w2_a"] @ part["lokr_w2_b"])


@torch.no_grad()
@pytest.mark.parametrize(
    ("adapter", "restated"),
    [
        (Dora(rank=2, alpha=3.0), dora),
        (LoHa(rank=2, alpha=3.0), loha),
        (LoKr(rank=2, alpha=3.0), lokr),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_merged_weight_is_the_paper_s(adapter: Adapter, restated: Restated) -> None:
    network = nn.Sequential(nn.Linear(48, 64))
    weight = network[0].weight.clone()
    attached = attached_with_values(network, adapter)
    part = {name.removeprefix("0."): value.clone() for name, value in attached.state_dict().items()}
    attached.merge()
    torch.testing.assert_close(network[0].weight, restated(weight, part), atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("adapter", [Dora(2, targets="all"), LoHa(2, targets="all"), LoKr(2, targets="all")])
def test_convolutions_too(adapter: Adapter) -> None:
    network = nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.Conv2d(8, 6, 1, bias=False)).eval()
    images = torch.randn((2, 4, 9, 9), generator=Generator().manual_seed(0))
    plain = network(images)
    fresh = adapter.attach(network)
    torch.testing.assert_close(network(images), plain)
    fresh.detach()
    attached = attached_with_values(network, adapter)
    changed = network(images)
    assert not torch.allclose(changed, plain, atol=1e-3)
    attached.merge()
    torch.testing.assert_close(network(images), changed, atol=1e-5, rtol=1e-4)


def test_lengths_of_dora_are_drawn_back_to_those_of_the_weights() -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.Conv2d(4, 5, 1))
    lengths = {str(index): layer.weight.flatten(1).norm(dim=1) for index, layer in enumerate(network)}
    attached = attached_with_values(network, Dora(rank=2))
    attached.reset(Generator())
    for name, length in lengths.items():
        value = attached.state_dict()[f"{name}.lora_magnitude_vector.weight"]
        torch.testing.assert_close(value.flatten(), length)


@pytest.mark.parametrize(
    ("layer", "taken"),
    [
        (nn.Conv2d(4, 4, 3, dilation=2), ["loha", "lokr"]),
        (nn.Conv2d(4, 4, 3, groups=2), ["loha", "lokr"]),
        (nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), []),
        (nn.Conv2d(4, 4, 1, dilation=2), ["dora", "loha", "lokr"]),
    ],
)
def test_layers_that_peft_would_get_wrong_are_no_targets(layer: nn.Module, taken: list[str]) -> None:
    adapters = (Dora(2, targets="all"), LoHa(2, targets="all"), LoKr(2, targets="all"))
    chosen = {
        adapter.name: list(adapter.attach(nn.Sequential(nn.Linear(4, 4), layer)).layers()) for adapter in adapters
    }
    assert [name for name, layers in chosen.items() if "1" in layers] == taken
    assert all("0" in layers for layers in chosen.values())


def test_attaching_draws_nothing_from_the_process_s_numbers() -> None:
    network = nn.Sequential(nn.Linear(4, 4))
    before = torch.get_rng_state()
    for adapter in (Dora(2), LoHa(2), LoKr(2)):
        adapter.attach(network).detach()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", [Dora, LoHa, LoKr])
def test_numbers_out_of_range_are_refused(kind: type[Dora | LoHa | LoKr]) -> None:
    with pytest.raises(OptionError, match=r"cannot have these numbers; expected a rank of at least 1, not 0; an alpha"):
        kind(rank=0, alpha=0.0)
    with pytest.raises(
        OptionError, match=r"a rank of 9 is above what any layer to adapt can have; .* at most 8, .* '0'"
    ):
        kind(rank=9).attach(nn.Sequential(nn.Linear(8, 10), nn.Linear(10, 4)))
    kind(rank=8).attach(nn.Sequential(nn.Linear(8, 10), nn.Linear(10, 4)))


def test_dora_leaves_alone_layers_with_a_channel_of_no_length() -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.Conv2d(4, 5, 1))
    with torch.no_grad():
        network[1].weight[2] = 0
    attached = Dora(rank=2).attach(network)
    assert {name.partition(".")[0] for name, _ in attached.named_parameters()} == {"0"}


def test_dora_without_a_layer_to_change_is_refused() -> None:
    network = nn.Sequential(nn.Conv2d(4, 5, 1))
    nn.init.zeros_(network[0].weight)
    with pytest.raises(OptionError, match=r"DoRA has no layer to change.*a channel of zeros in each of 0"):
        Dora(rank=2).attach(network)
