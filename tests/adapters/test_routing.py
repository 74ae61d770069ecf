"""The gate of a mixture of experts: numbers worked out by hand, and who gets a gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Generator

from medtap.adapters.routing import TopGate, expected_load, squared_variation


def test_load_of_two_experts_by_hand() -> None:
    load = expected_load(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), torch.ones(1, 2))
    torch.testing.assert_close(load, torch.tensor([0.5, 0.1586553]))
    importance, variation = squared_variation(torch.tensor([1.0, 0.0])), squared_variation(load)
    assert importance.item() == pytest.approx(2.0)
    assert variation.item() == pytest.approx(0.537, abs=5e-4)
    assert 0.01 * (importance + variation).item() == pytest.approx(0.0254, abs=5e-5)


def test_load_sums_over_inputs_and_scales_by_the_noise() -> None:
    clean, noisy = torch.tensor([[0.0, 1.0], [2.0, 0.0]]), torch.tensor([[0.0, 3.0], [2.0, 1.0]])
    load = expected_load(clean, noisy, torch.full((2, 2), 2.0))
    normal = torch.distributions.Normal(0.0, 1.0).cdf
    expected = normal(torch.tensor([[-1.5, 0.5], [0.5, -1.0]])).sum(0)
    torch.testing.assert_close(load, expected)


@pytest.mark.parametrize("experts", [2, 8])
def test_all_inputs_to_one_expert_vary_by_their_number(experts: int) -> None:
    importance = torch.zeros(experts)
    importance[1] = 5.0
    assert squared_variation(importance).item() == pytest.approx(experts)
    assert squared_variation(torch.full((experts,), 3.0)).item() == 0.0


def test_a_single_expert_is_in_balance() -> None:
    gate = TopGate(2, 1, False).train()
    assert gate(torch.ones(3, 2)).tolist() == [[1.0], [1.0], [1.0]]
    assert gate.imbalance == 0.0


def gate_with_values(differentiable: bool) -> TopGate:
    gate = TopGate(3, 4, differentiable)
    with torch.no_grad():
        for index, parameter in enumerate(gate.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=Generator().manual_seed(index)))
    return gate


@pytest.mark.parametrize("differentiable", [False, True])
def test_weights_are_of_the_expert_of_the_largest_logit(differentiable: bool) -> None:
    gate, pooled = gate_with_values(differentiable).eval(), torch.randn(5, 3, generator=Generator().manual_seed(9))
    weights, logits = gate(pooled), pooled @ gate.clean
    assert torch.equal(weights.argmax(1), logits.argmax(1))
    assert (weights > 0).sum().item() == 5
    expected = logits.softmax(1).amax(1) if differentiable else torch.ones(5)
    torch.testing.assert_close(weights.sum(1), expected)
    assert gate.imbalance is None


@pytest.mark.parametrize("differentiable", [False, True])
def test_the_paper_s_weight_has_no_gradient(differentiable: bool) -> None:
    gate = gate_with_values(differentiable).train()
    weights = gate(torch.ones(2, 3))
    assert weights.requires_grad == differentiable
    assert gate.imbalance is not None
    gradients = torch.autograd.grad(gate.imbalance, list(gate.parameters()))
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_noise_is_drawn_in_training_alone() -> None:
    gate, pooled = TopGate(3, 8, False), torch.ones(64, 3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        chosen = gate.train()(pooled).argmax(1)
        torch.manual_seed(0)
        assert torch.equal(gate(pooled).argmax(1), chosen)
    assert len(chosen.unique()) == 8
    state = torch.get_rng_state()
    assert len(gate.eval()(pooled).argmax(1).unique()) == 1
    assert torch.equal(torch.get_rng_state(), state)
    assert gate.imbalance is None
