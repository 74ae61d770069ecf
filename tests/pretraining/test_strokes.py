"""Lines drawn as points."""

from __future__ import annotations

import torch

from medtap.pretraining.strokes import draw_points


def test_points_fall_on_their_pixels_and_the_heaviest_wins() -> None:
    y, x = torch.tensor([[0.1, 0.1, 0.9]]), torch.tensor([[0.6, 0.7, 0.1]])
    canvas = draw_points(y, x, torch.tensor([[0.3, 0.8, 0.5]]), 4)
    expected = torch.zeros(1, 1, 4, 4)
    expected[0, 0, 0, 2], expected[0, 0, 3, 0] = 0.8, 0.5
    assert torch.equal(canvas, expected)


def test_points_outside_count_for_the_rim_of_their_own_picture() -> None:
    y, x = torch.tensor([[-0.5], [1.5]]), torch.tensor([[2.0], [0.5]])
    canvas = draw_points(y, x, torch.ones(1, 1), 2)
    assert canvas[0, 0].tolist() == [[0, 1], [0, 0]]
    assert canvas[1, 0].tolist() == [[0, 0], [0, 1]]
