"""The Hamilton product by hand."""

from __future__ import annotations

import torch
from torch import Generator

from medtap.adapters.quaternion import hamilton_matrix


def test_units_by_hand() -> None:
    matrix = hamilton_matrix(torch.tensor([0.0, 1.0, 2.0, 3.0]).view(4, 1, 1))
    assert matrix[0].tolist() == [0, 1, 2, 3]
    assert matrix[1].tolist() == [-1, 0, 3, -2]
    assert torch.equal(matrix @ matrix.T, 14 * torch.eye(4))


def test_it_is_the_product_of_quaternions() -> None:
    a1, b1, c1, d1 = 2.0, -1.0, 0.5, 3.0
    a2, b2, c2, d2 = -1.5, 4.0, 1.0, 0.25
    product = [
        a1 * a2 - b1 * b2 - c1 * c2 - d1 * d2,
        a1 * b2 + b1 * a2 + c1 * d2 - d1 * c2,
        a1 * c2 - b1 * d2 + c1 * a2 + d1 * b2,
        a1 * d2 + b1 * c2 - c1 * b2 + d1 * a2,
    ]
    matrix = hamilton_matrix(torch.tensor([a1, b1, c1, d1]).view(4, 1, 1))
    assert (torch.tensor([a2, b2, c2, d2]) @ matrix).tolist() == product


def test_groups_of_channels_are_mixed_block_by_block() -> None:
    parts = torch.randn((4, 3, 3), generator=Generator().manual_seed(0))
    x = torch.randn((5, 12), generator=Generator().manual_seed(1))
    r, i, j, k = parts
    one, two, three, four = x.chunk(4, dim=1)
    expected = [
        one @ r - two @ i - three @ j - four @ k,
        one @ i + two @ r - three @ k + four @ j,
        one @ j + two @ k + three @ r - four @ i,
        one @ k - two @ j + three @ i + four @ r,
    ]
    torch.testing.assert_close(x @ hamilton_matrix(parts), torch.cat(expected, dim=1))
