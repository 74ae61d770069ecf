"""Meta-training through adaptations: gradients at the adapted weights, rates that learn."""

from __future__ import annotations

import pytest
import torch
from torch import Generator

from medtap.adapters import Lora
from medtap.pretraining.peek_training import PeekTraining
from medtap.tap_options import TapOptions
from tests.tiny import random_images, random_masks, tiny_network

LORA = Lora(rank=2, dropout=0.0)
TASK = random_images(4)[None], random_masks(4)[None].float()


def peek(learning_rate: float = 0.02, rate: float = 1e-2) -> PeekTraining:
    network = tiny_network().requires_grad_(True)
    return PeekTraining(network, LORA, TapOptions(learning_rate=rate), learning_rate)


def test_every_weight_learns_and_the_encoder_is_as_it_was() -> None:
    training = peek()
    names = [name for name, _ in training.network.named_parameters()]
    before = {name: value.clone() for name, value in training.network.state_dict().items()}
    loss = training.backward(*TASK, passes=2, generator=Generator().manual_seed(0))
    assert loss > 0
    assert [name for name, _ in training.network.named_parameters()] == names
    assert all(parameter.requires_grad for parameter in training.network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in training.network.state_dict().items())
    head = [parameter for name, parameter in training.network.named_parameters() if not name.startswith("encoder")]
    assert all(parameter.grad is not None for parameter in head)
    layer = training.network.encoder.get_submodule(training.layers[0])
    assert layer.weight.grad.abs().sum() > 0


def test_gradient_is_taken_at_the_adapted_weights() -> None:
    gradients = []
    for rate in (1e-9, 3e-2):
        training = peek(rate=rate)
        training.backward(*TASK, passes=3, generator=Generator().manual_seed(0))
        gradients.append(training.network.coarse.weight.grad)
    assert not torch.allclose(*gradients, rtol=1e-2)


def test_a_rate_follows_the_slope_of_the_loss_along_its_layer() -> None:
    training = peek(learning_rate=0.1)
    attached = training.adapter.attach(training.network.encoder)
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
    rates = list(training.rates().values())
    assert rates[0] > 1 > max(rates[1:])


def test_rates_change_and_stay_in_their_range() -> None:
    training = peek(learning_rate=10.0)
    training.backward(*TASK, passes=2, generator=Generator().manual_seed(0))
    rates = torch.tensor(list(training.rates().values()))
    assert training.learned
    assert (rates != 1).any()
    assert rates.log().abs().max() <= 2.5 + 1e-3


def test_no_learning_rate_leaves_the_rates_even() -> None:
    training = peek(learning_rate=0.0)
    training.backward(*TASK, passes=2, generator=Generator().manual_seed(0))
    assert set(training.rates().values()) == {1.0}


def test_state_is_taken_over() -> None:
    first, second = peek(), peek()
    first.backward(*TASK, passes=1, generator=Generator().manual_seed(0))
    second.load_state_dict(first.state_dict())
    assert second.rates() == first.rates()
    assert second.learned
