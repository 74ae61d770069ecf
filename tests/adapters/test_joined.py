"""Two adapters as one: exact at the start, merged as unmerged, and off again without a trace."""

from __future__ import annotations

import pytest
import torch
from torch import Generator

from medtap.adapters import DecoderTuning, Joined, Lora, Svf, build_adapter
from medtap.adapters.joined import AttachedJoined
from medtap.errors import OptionError, WeightsError
from medtap.networks.dense_attention import DenseAttentionSegmenter
from tests.tiny import random_images, random_masks, tiny_network


def attached_to(network: DenseAttentionSegmenter, method: str = "lora+decoder") -> AttachedJoined:
    return build_adapter(method).attach(network)


def moved(attached: AttachedJoined) -> AttachedJoined:
    generator = Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in attached.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return attached


@torch.no_grad()
def logits(network: DenseAttentionSegmenter) -> torch.Tensor:
    return network(random_images(1), random_images(2, seed=1)[None], random_masks(2)[None].float())


def test_parameters_are_those_of_both_and_no_other_trains() -> None:
    network = tiny_network()
    attached = attached_to(network)
    trained = {id(parameter) for parameter in network.parameters() if parameter.requires_grad}
    assert trained == {id(parameter) for parameter in attached.parameters()}
    names = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert all("lora_" in name or not name.startswith("encoder.") for name in names)
    assert {name.partition(".")[0] for name in names} > {"encoder", "coarse"}


@pytest.mark.parametrize("method", ["lora+decoder", "decoder+lora", "conv_lora+decoder", "cobot+decoder"])
def test_it_starts_exact_merges_as_it_was_and_comes_off(method: str) -> None:
    network = tiny_network()
    before, flags = logits(network), {name: value.requires_grad for name, value in network.named_parameters()}
    attached = attached_to(network, method)
    attached.reset(Generator().manual_seed(0))
    assert torch.equal(logits(network), before)
    changed = logits(moved(attached) and network)
    assert not torch.equal(changed, before)
    values = {name: value.clone() for name, value in attached.state_dict().items()}
    attached.detach()
    assert torch.equal(logits(network), before)
    assert {name: value.requires_grad for name, value in network.named_parameters()} == flags
    again = attached_to(network, method)
    again.load_state_dict(values)
    again.merge()
    torch.testing.assert_close(logits(network), changed, rtol=1e-4, atol=1e-4)
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_reset_and_auxiliary_loss_are_those_of_both() -> None:
    attached = attached_to(tiny_network())
    attached.reset(Generator().manual_seed(3))
    first = {name: value.clone() for name, value in attached.state_dict().items()}
    moved(attached).reset(Generator().manual_seed(3))
    assert all(torch.equal(first[name], value) for name, value in attached.state_dict().items())
    assert attached.auxiliary_loss() == 0


def test_names_and_options_say_how_to_build_it_again() -> None:
    joined = Joined((Lora(rank=2), DecoderTuning()))
    assert joined.name == "lora+decoder"
    assert build_adapter("lora+decoder", {"adapters": [{"rank": 2}, {}]}) == joined
    with pytest.raises(OptionError, match="no method is called 'lorra'"):
        build_adapter("lorra+decoder")
    with pytest.raises(OptionError, match="expected 2; found 1"):
        build_adapter("lora+decoder", {"adapters": [{}]})


def test_options_go_to_each_method_that_has_them() -> None:
    assert build_adapter("lora+decoder", {"rank": 2}) == Joined((Lora(rank=2), DecoderTuning()))
    both = build_adapter("lora+svf", {"targets": "all", "rank": 2, "adapters": [{"rank": 4}, {}]})
    assert both == Joined((Lora(rank=4, targets="all"), Svf(targets="all")))
    with pytest.raises(OptionError, match=r"no option of lora\+decoder is called 'rnk'; expected of lora rank, alpha"):
        build_adapter("lora+decoder", {"rnk": 2})


def test_values_of_other_adapters_are_refused() -> None:
    attached = attached_to(tiny_network())
    values = attached.state_dict()
    with pytest.raises(WeightsError, match=r"the values of joined adapters do not fit the encoder, first at '2\.x'"):
        attached.load_state_dict(values | {"2.x": torch.zeros(1)})
    with pytest.raises(WeightsError, match="do not fit"):
        attached.load_state_dict({name: value for name, value in values.items() if name.startswith("0.")})


def test_folding_gives_each_part_its_own_values() -> None:
    merged, folded = tiny_network(), tiny_network()
    attached = moved(attached_to(merged))
    values = {name: value.clone() for name, value in attached.state_dict().items()}
    attached.merge()
    joined = Joined((Lora(), DecoderTuning()))
    joined.fold(folded, values)
    expected = merged.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in folded.state_dict().items())
    with pytest.raises(WeightsError, match=r"names that begin with the place of one of 2 adapters; found '2\.x'"):
        joined.fold(tiny_network(), values | {"2.x": torch.zeros(1)})
