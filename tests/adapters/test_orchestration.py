"""Coefficients that blocks share, by hand."""

from __future__ import annotations

import torch
from torch import Generator

from medtap.adapters.orchestration import Coefficients, Orchestration
from medtap.adapters.quaternion import hamilton_matrix


@torch.no_grad()
def test_relation_mixes_the_coefficients_of_blocks() -> None:
    shared = Coefficients(2, 2)
    shared.coefficients.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    shared.relation.copy_(torch.tensor([[1.0, 0.5], [0.0, 1.0]]))
    assert shared(0).tolist() == [1.0, 3.0]
    assert shared(1).tolist() == [2.5, 5.5]


@torch.no_grad()
def test_it_starts_with_a_total_coefficient_of_two() -> None:
    inner = Orchestration(Coefficients(8, 3), 1, 8)
    inner.reset(Generator().manual_seed(0))
    imaginary = inner.quaternion[1:]
    assert not inner.quaternion[0].any()
    assert imaginary.min() >= 0.0
    assert imaginary.max() < 1.0
    assert imaginary.unique().numel() == imaginary.numel()
    torch.testing.assert_close(inner.matrix(), 2 * hamilton_matrix(inner.quaternion))


def test_channels_are_scaled_before_they_are_mixed() -> None:
    inner = Orchestration(Coefficients(8, 3), 2, 8)
    generator = Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in inner.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    narrow = torch.randn((5, 8), generator=generator)
    scale = (inner.shared.coefficients @ inner.shared.relation)[:, 2] + inner.gamma
    torch.testing.assert_close(inner(narrow), (narrow * scale) @ hamilton_matrix(inner.quaternion))


def test_a_block_learns_the_coefficients_of_all() -> None:
    shared = Coefficients(4, 3)
    for inner in (blocks := [Orchestration(shared, index, 4) for index in range(3)]):
        with torch.no_grad():
            inner.reset(Generator().manual_seed(0))
    with torch.no_grad():
        shared.relation.fill_(0.5)
    blocks[1](torch.ones(1, 4)).sum().backward()
    assert shared.coefficients.grad is not None
    assert (shared.coefficients.grad != 0).all()
    assert blocks[0].gamma.grad is None
