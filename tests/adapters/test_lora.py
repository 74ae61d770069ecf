"""LoRA on an encoder: reversible, exact, and nothing else trains."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator, Tensor, nn

from medtap.adapters import ADAPTERS, AttachedAdapter, Lora, build_adapter
from medtap.errors import OptionError, WeightsError
from medtap.networks.encoders import PyramidEncoder
from tests.tiny import random_images, tiny_network


def encoder() -> PyramidEncoder:
    return tiny_network().encoder


def attached_with_values(encoder: nn.Module, adapter: Lora, seed: int = 0) -> AttachedAdapter:
    """Attach and give every factor a value that changes what the encoder computes."""
    attached = adapter.attach(encoder)
    generator = Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in attached.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return attached


def snapshot(module: nn.Module) -> tuple[dict[str, Tensor], dict[str, bool], dict[str, list[str]]]:
    """Values, gradient flags, and each submodule's mode and attributes."""
    values = {name: value.clone() for name, value in module.state_dict().items()}
    flags = {name: parameter.requires_grad for name, parameter in module.named_parameters()}
    parts = {name: [str(part.training), *sorted(vars(part))] for name, part in module.named_modules()}
    return values, flags, parts


@torch.no_grad()
@pytest.mark.parametrize("trained", [True, False])
def test_detach_gives_the_encoder_back_bit_for_bit(trained: bool) -> None:
    network, images = encoder(), random_images(2)
    network.detail.requires_grad_(True)
    before, outputs = snapshot(network), network(images)
    attached = attached_with_values(network, Lora(rank=4)) if trained else Lora(rank=4).attach(network)
    assert any(not torch.equal(new, old) for new, old in zip(network(images), outputs, strict=True)) == trained
    attached.detach()
    after = snapshot(network)
    assert all(torch.equal(after[0][name], value) for name, value in before[0].items())
    assert after[0].keys() == before[0].keys()
    assert after[1:] == before[1:]
    assert all(torch.equal(new, old) for new, old in zip(network(images), outputs, strict=True))


@torch.no_grad()
@pytest.mark.parametrize(("rank", "alpha"), [(1, None), (4, None), (4, 8.0), (16, 1.0)])
def test_merged_equals_unmerged(rank: int, alpha: float | None) -> None:
    network, images = encoder(), random_images(2)
    attached = attached_with_values(network, Lora(rank=rank, alpha=alpha))
    unmerged = network(images)
    attached.merge()
    for new, old in zip(network(images), unmerged, strict=True):
        torch.testing.assert_close(new, old, atol=1e-5, rtol=1e-5)
    assert not any("lora" in name for name, _ in network.named_modules())


@torch.no_grad()
def test_merge_adds_the_scaled_product_and_leaves_the_old_tensors() -> None:
    network = encoder()
    name = "backbone.encoder.stages.0.layers.0.pwconv1"
    old = network.get_submodule(name).weight
    value = old.clone()
    attached = attached_with_values(network, Lora(rank=4, alpha=2.0))
    factors = attached.state_dict()
    expected = value + 2.0 / 4 * factors[f"{name}.lora_B.weight"] @ factors[f"{name}.lora_A.weight"]
    storage = old.data_ptr()
    held = old.data
    attached.merge()
    torch.testing.assert_close(network.get_submodule(name).weight, expected)
    assert torch.equal(held, value)
    assert network.get_submodule(name).weight.data_ptr() != storage


def test_only_factors_train() -> None:
    network = encoder().requires_grad_(True)
    attached = Lora(rank=2).attach(network)
    trained = {id(parameter) for parameter in network.parameters() if parameter.requires_grad}
    assert trained == {id(parameter) for parameter in attached.parameters()}
    assert len(trained) == 16
    attached.detach()
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_number_of_parameters_of_a_hand_made_encoder() -> None:
    layers = nn.Sequential(nn.Linear(10, 20), nn.Conv2d(6, 8, 1))
    assert sum(parameter.numel() for parameter in Lora(rank=4).attach(layers).parameters()) == 4 * (30 + 14)


@torch.no_grad()
def test_reset_starts_as_the_paper_does() -> None:
    network, images = encoder(), random_images(1)
    outputs = network(images)
    attached = attached_with_values(network, Lora(rank=4))
    attached.reset(Generator().manual_seed(3))
    first = attached.state_dict()
    assert all(value.abs().sum() == 0 for name, value in first.items() if "lora_B" in name)
    for name, value in first.items():
        if "lora_A" in name:
            bound = 1 / math.sqrt(value[0].numel())  # Kaiming uniform with a = sqrt 5
            assert 0.8 * bound < value.abs().max() <= bound
    assert all(torch.equal(new, old) for new, old in zip(network(images), outputs, strict=True))
    first = {name: value.clone() for name, value in first.items()}
    attached.reset(Generator().manual_seed(3))
    assert all(torch.equal(first[name], value) for name, value in attached.state_dict().items())
    attached.reset(Generator().manual_seed(4))
    assert any(not torch.equal(first[name], value) for name, value in attached.state_dict().items())


@torch.no_grad()
def test_train_switches_the_adapter_s_dropout_alone() -> None:
    network, images = encoder(), random_images(1)
    attached = attached_with_values(network, Lora(rank=4, dropout=0.5))
    still = network(images)
    assert all(torch.equal(new, old) for new, old in zip(network(images), still, strict=True))
    attached.train()
    switched = [name for name, module in network.named_modules() if module.training]
    assert sum("lora_dropout.tap" in name for name in switched) == 8
    own = (nn.Dropout, nn.LayerNorm, nn.Identity, nn.Conv2d)
    assert all("lora" in name or not isinstance(network.get_submodule(name), own) for name in switched)
    assert not torch.equal(network(images)[-1], still[-1])
    attached.train(False)
    assert torch.equal(network(images)[-1], still[-1])


@torch.no_grad()
def test_values_load_into_another_encoder_of_the_kind() -> None:
    first, second, images = encoder(), encoder(), random_images(1)
    values = attached_with_values(first, Lora(rank=4)).state_dict()
    assert all(name.endswith(("lora_A.weight", "lora_B.weight")) for name in values)
    Lora(rank=4).attach(second).load_state_dict(values)
    assert all(torch.equal(one, two) for one, two in zip(first(images), second(images), strict=True))


def test_values_that_do_not_fit_are_refused() -> None:
    attached = Lora(rank=4).attach(encoder())
    values = attached.state_dict()
    problem = r"the LoRA factors do not fit the encoder, first at .*lora_A.*; expected shape \[4, 8\]; found shape \[2"
    with pytest.raises(WeightsError, match=problem):
        attached.load_state_dict(Lora(rank=2).attach(encoder()).state_dict())
    with pytest.raises(WeightsError, match="first at 'more'; expected none; found shape"):
        attached.load_state_dict({**values, "more": torch.zeros(1)})
    with pytest.raises(WeightsError, match="first at "):
        attached.load_state_dict({})


def test_all_adds_convolutions_but_a_pattern_searches_pointwise_layers_alone() -> None:
    layers = nn.Sequential(nn.Linear(4, 4), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 4, 1))
    assert list(Lora(rank=2, targets="re:.").attach(layers).layers()) == ["0", "3"]
    layers = nn.Sequential(nn.Linear(4, 4), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3, dilation=2), nn.Conv2d(4, 4, 1))
    assert list(Lora(rank=2, targets="all").attach(layers).layers()) == ["0", "1", "3"]


def test_a_rank_above_what_every_layer_can_have_is_refused() -> None:
    layers = nn.Sequential(nn.Linear(4, 16), nn.Linear(16, 8))
    with pytest.raises(
        OptionError, match=r"a rank of 9 is above .*; expected a rank of at most 8, .* that '1' can have"
    ):
        Lora(rank=9).attach(layers)
    Lora(rank=8).attach(layers)


def test_layers_are_chosen_by_their_whole_name() -> None:
    layers = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Conv2d(4, 4, 3), nn.Linear(4, 4)))
    attached = Lora(rank=2).attach(layers)
    assert sorted(attached.state_dict()) == [
        "0.lora_A.weight",
        "0.lora_B.weight",
        "1.1.lora_A.weight",
        "1.1.lora_B.weight",
    ]


@torch.no_grad()
def test_pointwise_convolutions_merge_too() -> None:
    network, images = nn.Sequential(nn.Conv2d(3, 8, 1, stride=2), nn.Conv2d(8, 4, 3)).eval(), random_images(1)
    plain = network(images)
    attached = attached_with_values(network, Lora(rank=2))
    unmerged = network(images)
    attached.merge()
    assert not torch.allclose(plain, unmerged)
    torch.testing.assert_close(network(images), unmerged, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("alpha", [None, 3.0])
def test_folding_gives_the_bits_of_peft_s_merge(alpha: float | None) -> None:
    def layers() -> nn.Sequential:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 5), nn.Conv2d(4, 8, 1, stride=2), nn.Conv2d(8, 4, 3, padding=1)).eval()

    lora, merged, folded = Lora(rank=3, alpha=alpha, targets="all"), layers(), layers()
    folded.requires_grad_(False)
    attached = attached_with_values(merged, lora)
    lora.fold(folded, attached.state_dict())
    attached.merge()
    plain, expected = layers().state_dict(), merged.state_dict()
    for name, value in folded.state_dict().items():
        assert torch.equal(value, expected[name])
        assert torch.equal(value, plain[name]) == name.endswith("bias")
    assert not any(parameter.requires_grad for parameter in folded.parameters())


def test_folding_leaves_the_old_tensors_and_refuses_what_does_not_fit() -> None:
    layers = nn.Sequential(nn.Linear(6, 5))
    weight, before = layers[0].weight, layers[0].weight.detach().clone()
    values = {"0.lora_A.weight": torch.ones(3, 6), "0.lora_B.weight": torch.ones(5, 3)}
    Lora(rank=3).fold(layers, values)
    assert torch.equal(weight, before)
    torch.testing.assert_close(layers[0].weight, before + 3)
    with pytest.raises(
        WeightsError, match=r"first at '0\.lora_A\.weight'; expected shape \[2, 6\]; found shape \[3, 6\]"
    ):
        Lora(rank=2).fold(layers, values)


def test_auxiliary_loss_is_nothing() -> None:
    assert Lora().attach(encoder()).auxiliary_loss() == 0.0


def test_numbers_out_of_range_are_refused_all_at_once() -> None:
    with pytest.raises(OptionError, match=r"a rank of at least 1, not 0; a dropout in \[0, 1\), not 1.0"):
        Lora(rank=0, dropout=1.0)
    with pytest.raises(OptionError, match="an alpha above 0, not 0"):
        Lora(alpha=0.0)


def test_build_adapter_by_name() -> None:
    assert build_adapter("lora", {"rank": 3, "dropout": 0.0}) == Lora(rank=3, dropout=0.0)
    assert build_adapter("lora") == Lora()
    assert set(ADAPTERS) == {adapter.name for adapter in ADAPTERS.values()}


def test_unknown_method_or_option_is_refused() -> None:
    with pytest.raises(OptionError, match=r"no method is called 'lorra'; expected lora, dora, .*; did you mean lora\?"):
        build_adapter("lorra")
    with pytest.raises(OptionError, match=r"unknown option 'rnk' \(did you mean 'rank'\?\)"):
        build_adapter("lora", {"rnk": 3})
    with pytest.raises(OptionError, match="options of Lora are no mapping"):
        build_adapter("lora", 3)


def test_an_option_of_other_methods_is_refused_with_their_names() -> None:
    with pytest.raises(OptionError, match=r"svf has no rank; expected targets; leave rank out, or take .*: lora, dora"):
        build_adapter("svf", {"rank": 8})
    with pytest.raises(OptionError, match=r"lora has no experts; .* a method that has it: conv_lora"):
        build_adapter("lora", {"experts": 8})
