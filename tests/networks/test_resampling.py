"""Maps on another grid."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from medtap.networks.resampling import adaptive_mean, resize_aligned


@pytest.mark.parametrize("grid", [(8, 8), (3, 5), (1, 1), (12, 20)])
def test_means_are_those_of_adaptive_pooling(grid: tuple[int, int]) -> None:
    maps = torch.randn(2, 3, 9, 13, dtype=torch.float64)
    torch.testing.assert_close(adaptive_mean(maps, grid), F.adaptive_avg_pool2d(maps, grid))


def test_means_of_a_hand_made_case() -> None:
    row = torch.tensor([1.0, 2.0, 6.0]).view(1, 1, 1, 3)
    assert adaptive_mean(row, (1, 2)).flatten().tolist() == [1.5, 4.0]


def test_corners_are_aligned_and_the_same_grid_is_left_alone() -> None:
    maps = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    torch.testing.assert_close(resize_aligned(maps, (1, 5)).flatten(), torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]))
    assert resize_aligned(maps, (1, 2)) is maps
