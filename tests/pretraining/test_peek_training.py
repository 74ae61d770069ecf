"""Meta-training through adaptations: gradients at the adapted weights, rates that learn."""

from __future__ import annotations

import pytest
import torch
from torch import Generator

from medtap.adapters import Adapter, DecoderTuning, Joined, Lora
from medtap.pretraining.peek_training import PeekTraining
from medtap.tap_options import TapOptions
from tests.tiny import random_images, random_masks, tiny_network

LORA = Lora(rank=2, dropout=0.0)
MASKS = random_masks(4)[None].float()
TASK = random_images(4)[None], MASKS, MASKS


BOTH = Joined((LORA, DecoderTuning()))


def peek(learning_rate: float = 0.02, rate: float = 1e-2, adapter: Adapter = LORA) -> PeekTraining:
    network = tiny_network().requires_grad_(True)
    return PeekTraining(network, [adapter], TapOptions(learning_rate=rate), learning_rate)


@pytest.mark.parametrize("adapter", [LORA, BOTH], ids=["encoder", "encoder and head"])
def test_every_weight_learns_and_the_network_is_as_it_was(adapter: Adapter) -> None:
    training = peek(adapter=adapter)
    names = [name for name, _ in training.network.named_parameters()]
    before = {name: value.clone() for name, value in training.network.state_dict().items()}
    loss = training.backward(*TASK, passes=2, generator=Generator().manual_seed(0))
    assert loss > 0
    assert [name for name, _ in training.network.named_parameters()] == names
    assert all(parameter.requires_grad for parameter in training.network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in training.network.state_dict().items())
    head = [parameter for name, parameter in training.network.named_parameters() if not name.startswith("encoder")]
    assert all(parameter.grad is not None for parameter in head)
    layer = training.network.encoder.get_submodule(training.layers[adapter.name][0])
    assert layer.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("adapter", [LORA, BOTH], ids=["encoder", "encoder and head"])
def test_gradient_is_taken_at_the_adapted_weights(adapter: Adapter) -> None:
    gradients = []
    for rate in (1e-9, 3e-2):
        training = peek(rate=rate, adapter=adapter)
        training.backward(*TASK, passes=3, generator=Generator().manual_seed(0))
        gradients.append(training.network.coarse.weight.grad)
    assert not torch.allclose(*gradients, rtol=1e-2)


def test_a_rate_follows_the_slope_of_the_loss_along_its_layer() -> None:
    training = peek(learning_rate=0.1)
    attached = training.adapters[0].attach(training.network.encoder)
    attached.reset(Generator().manual_seed(5))
    for index, own in enumerate(attached.layers().values()):
        for value in own:
            value.data += 1.0
            value.grad = torch.full_like(value, -1.0 if index == 0 else 1.0)
    training._add_rate_gradients(attached, seed=5)
    sizes = [sum(value.numel() for value in own) for own in attached.layers().values()]
    slopes = [-sizes[0], *sizes[1:]]
    assert training.logarithms.grad.tolist() == pytest.approx(slopes, rel=1e-4)
    training.optimizer.step()
    rates = list(training.rates()["lora"].values())
    assert rates[0] > 1 > max(rates[1:])


def test_rates_change_and_stay_in_their_range() -> None:
    training = peek(learning_rate=10.0)
    training.backward(*TASK, passes=2, generator=Generator().manual_seed(0))
    rates = torch.tensor(list(training.rates()["lora"].values()))
    assert training.learned
    assert (rates != 1).any()
    assert rates.log().abs().max() <= 2.5 + 1e-3


def test_no_learning_rate_leaves_the_rates_even() -> None:
    training = peek(learning_rate=0.0)
    training.backward(*TASK, passes=2, generator=Generator().manual_seed(0))
    assert set(training.rates()["lora"].values()) == {1.0}


def test_state_is_taken_over() -> None:
    first, second = peek(), peek()
    first.backward(*TASK, passes=1, generator=Generator().manual_seed(0))
    second.load_state_dict(first.state_dict())
    assert second.rates() == first.rates()
    assert second.learned


def test_a_head_that_adapts_by_nothing_learns_as_one_that_does_not_adapt() -> None:
    gradients = []
    for adapter in (LORA, BOTH):
        training = peek(rate=1e-9, adapter=adapter)
        training.backward(*TASK, passes=1, generator=Generator().manual_seed(0))
        gradients.append({name: value.grad for name, value in training.network.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-6, rtol=1e-3)


def test_each_task_draws_an_adapter_and_a_layer_has_one_rate_in_all() -> None:
    network = tiny_network().requires_grad_(True)
    training = PeekTraining(network, [LORA, BOTH], TapOptions(learning_rate=1e-2), 0.1)
    drawn = []
    adapted = training._adapted
    training._adapted = lambda adapter, *rest: drawn.append(adapter.name) or adapted(adapter, *rest)
    for seed in range(6):
        training.backward(*TASK, passes=1, generator=Generator().manual_seed(seed))
    assert set(drawn) == {"lora", "lora+decoder"}
    rates = training.rates()
    assert rates["lora"].items() < rates["lora+decoder"].items()
    assert set(rates["lora"].values()) != {1.0}


def test_shots_are_learnt_as_drawn_and_the_others_compared_with_the_truth() -> None:
    training, seen, compared = peek(), [], []
    adapted, loss = training._adapted, training._query_loss
    training._adapted = lambda adapter, images, masks, options: (
        seen.append(masks) or adapted(adapter, images, masks, options)
    )
    training._query_loss = lambda images, *masks: compared.append(masks) or loss(images, *masks)
    images, masks, _ = TASK
    training.backward(images, masks, 1 - masks, passes=1, generator=Generator().manual_seed(0))
    shots = len(seen[0])
    assert torch.equal(seen[0], 1 - masks[0, :shots])
    for truth, drawn in compared:
        assert torch.equal(truth, masks[0, shots:])
        assert torch.equal(drawn, 1 - masks[0, :shots])


def test_learning_of_rates_begins_at_those_that_the_network_has() -> None:
    network = tiny_network().requires_grad_(True)
    layer = PeekTraining(network, [LORA], TapOptions(), 0.1).layers["lora"][0]
    network.rates = {"lora": {layer: 2.5}}
    rates = PeekTraining(network, [LORA], TapOptions(), 0.1).rates()["lora"]
    assert rates.pop(layer) == pytest.approx(2.5)
    assert set(rates.values()) == {1.0}
