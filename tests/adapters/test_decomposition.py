"""Singular value decompositions of weights, by group, and kept."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from medtap.adapters import decomposition
from medtap.adapters.decomposition import decompose


def weight(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=Generator().manual_seed(seed), dtype=dtype)


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    decomposition._kept.clear()


@pytest.mark.parametrize(
    ("shape", "groups"), [((6, 4), 1), ((4, 6), 1), ((6, 4, 3, 3), 1), ((6, 2, 3, 1), 3), ((5, 1, 7, 7), 5)]
)
def test_product_is_the_weight_and_factors_are_orthonormal(shape: tuple[int, ...], groups: int) -> None:
    whole = weight(*shape)
    left, values, right = decompose(whole, groups)
    rank = min(shape[0] // groups, whole[0].numel())
    assert left.shape == (groups, shape[0] // groups, rank)
    assert right.shape == (groups, rank, whole[0].numel())
    torch.testing.assert_close((left * values.unsqueeze(1) @ right).view(shape), whole, atol=1e-12, rtol=0)
    eye = torch.eye(rank, dtype=whole.dtype).expand(groups, -1, -1)
    torch.testing.assert_close(left.mT @ left, eye, atol=1e-12, rtol=0)
    torch.testing.assert_close(right @ right.mT, eye, atol=1e-12, rtol=0)


def test_values_are_those_of_each_group() -> None:
    whole = weight(6, 2, 3, 3)
    expected = [np.linalg.svd(part.flatten(1).numpy(), compute_uv=False) for part in whole.chunk(3)]
    np.testing.assert_allclose(decompose(whole, 3).values.numpy(), np.stack(expected))


def test_the_same_weight_is_decomposed_once() -> None:
    with mock.patch.object(decomposition, "_decomposed", wraps=decomposition._decomposed) as made:
        first, second = decompose(weight(4, 4)), decompose(weight(4, 4).mT.contiguous().mT)
        assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))
        assert made.call_count == 1
        decompose(weight(4, 4, seed=1))
        decompose(weight(4, 4), groups=2)
        decompose(weight(4, 4).view(4, 4, 1, 1))
        decompose(weight(4, 4, dtype=torch.float32))
        assert made.call_count == 5


def test_what_was_not_used_for_longest_is_given_up_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decomposition, "KEPT_BYTES", 2 * decompose(weight(4, 4)).nbytes)
    decompose(weight(4, 4, seed=1))
    decompose(weight(4, 4))
    decompose(weight(4, 4, seed=2))
    with mock.patch.object(decomposition, "_decomposed", wraps=decomposition._decomposed) as made:
        decompose(weight(4, 4))
        decompose(weight(4, 4, seed=2))
        assert made.call_count == 0
        decompose(weight(4, 4, seed=1))
        assert made.call_count == 1


def test_bytes_kept_are_of_all_three_tensors() -> None:
    assert decompose(weight(4, 6, dtype=torch.float32)).nbytes == 4 * (4 * 4 + 4 + 4 * 6)
