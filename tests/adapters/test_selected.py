"""Parameters that a network has anyway, trained in place of themselves."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, nn

from medtap.adapters import Adapter, BitFit, DecoderTuning, FullTuning, NormTuning
from medtap.errors import OptionError, WeightsError
from tests.tiny import tiny_network


class Block(nn.Module):
    """One layer of each kind, and a parameter of the block itself."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.conv = nn.Linear(4, 4), nn.Conv2d(4, 4, 3, bias=False)
        self.layer, self.group, self.batch = nn.LayerNorm(4), nn.GroupNorm(2, 4), nn.BatchNorm2d(4)
        self.plain, self.scale = nn.LayerNorm(4, elementwise_affine=False), nn.Parameter(torch.ones(1))


NORMS = [f"{name}.{part}" for name in ("layer", "group", "batch") for part in ("weight", "bias")]
BIASES = ["q_proj.bias", "layer.bias", "group.bias", "batch.bias"]


@pytest.mark.parametrize(
    ("adapter", "names"),
    [
        (NormTuning(), NORMS),
        (NormTuning("re:^b"), ["batch.weight", "batch.bias"]),
        (BitFit(), BIASES),
        (BitFit("attention"), ["q_proj.bias"]),
        (FullTuning(), ["scale", "q_proj.weight", "q_proj.bias", "conv.weight", *NORMS]),
        (FullTuning("pointwise"), ["q_proj.weight", "q_proj.bias"]),
    ],
)
def test_what_is_trained(adapter: Adapter, names: list[str]) -> None:
    block = Block()
    attached = adapter.attach(block)
    assert sorted(attached.state_dict()) == sorted(names)
    assert sorted(name for name, value in block.named_parameters() if value.requires_grad) == sorted(names)


def test_norms_of_convnextv2_are_found_with_its_grn() -> None:
    network = tiny_network()
    names = NormTuning().attach(network.encoder).layers()
    kinds = {type(network.encoder.get_submodule(name)).__name__ for name in names}
    assert kinds == {"ConvNextV2LayerNorm", "ConvNextV2GRN"}
    words = ("norm", "grn", "downsampling_layer.0")
    expected = [name for name, _ in tiny_network().encoder.named_parameters() if any(word in name for word in words)]
    assert sum(map(len, names.values())) == len(expected)


def test_the_decoder_is_all_but_the_encoder() -> None:
    network = tiny_network()
    trained = set(DecoderTuning().attach(network).state_dict())
    assert trained == {name for name, _ in network.named_parameters() if not name.startswith("encoder.")}
    assert "match8.temperature" in trained


@torch.no_grad()
def test_the_old_parameters_are_left_as_they_were() -> None:
    block = Block()
    old = dict(block.named_parameters())
    held = {name: value.clone() for name, value in old.items()}
    attached = FullTuning().attach(block)
    for parameter in attached.parameters():
        parameter.add_(1)
    assert all(torch.equal(old[name], value) for name, value in held.items())
    attached.reset(Generator())
    assert all(torch.equal(value, held[name]) for name, value in block.named_parameters())
    attached.detach()
    assert all(value is old[name] for name, value in block.named_parameters())


@torch.no_grad()
def test_merged_parameters_stay_trained_and_are_frozen_as_before() -> None:
    block = Block().requires_grad_(False)
    block.conv.requires_grad_(True)
    attached = BitFit().attach(block)
    for parameter in attached.parameters():
        parameter.fill_(7)
    attached.merge()
    assert block.q_proj.bias.tolist() == [7] * 4
    assert [name for name, value in block.named_parameters() if value.requires_grad] == ["conv.weight"]


def test_a_network_without_such_parameters_is_refused() -> None:
    with pytest.raises(OptionError, match="targets 'all' match no layer of the encoder"):
        NormTuning().attach(nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(
        OptionError, match="targets 'attention' match no layer of the encoder; found batch, group, layer"
    ):
        NormTuning("attention").attach(Block())


def test_parameters_of_another_network_are_refused() -> None:
    with pytest.raises(WeightsError, match="the parameters do not fit the encoder, first at "):
        BitFit().attach(Block()).load_state_dict(BitFit().attach(nn.Linear(2, 2)).state_dict())
