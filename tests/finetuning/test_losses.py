"""The published losses, against slow re-statements and hand-computed cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from medtap.finetuning.losses import LOSSES, bce_dice_loss, dice_ce_loss, edge_weight, structure_loss
from tests.tiny import random_masks


def binary(size: int = 40, seed: int = 0) -> tuple[Tensor, Tensor]:
    logits = torch.randn((2, 2, size, size), generator=torch.Generator().manual_seed(seed))
    return logits, random_masks(2, height=size).unsqueeze(1)


def slow_structure(lead: np.ndarray, target: np.ndarray) -> float:
    """One picture, pixel by pixel."""
    size, total, weights, both, either = len(target), 0.0, 0.0, 0.0, 0.0
    padded = np.pad(target, 15)
    for row in range(size):
        for column in range(size):
            truth = target[row, column]
            weight = 1 + 5 * abs(padded[row : row + 31, column : column + 31].mean() - truth)
            found = 1 / (1 + math.exp(-lead[row, column]))
            total += weight * -math.log(found if truth else 1 - found)
            weights += weight
            both += found * truth * weight
            either += (found + truth) * weight
    return total / weights + 1 - (both + 1) / (either - both + 1)


def test_structure_loss_is_that_of_pixel_by_pixel() -> None:
    logits, labels = binary()
    lead = (logits[:, 1] - logits[:, 0]).double().numpy()
    slow = [slow_structure(lead[index], labels[index, 0].double().numpy()) for index in range(2)]
    assert structure_loss(logits, labels).item() == pytest.approx(np.mean(slow), rel=1e-5)


def test_weights_are_one_inside_and_above_at_edges() -> None:
    target = torch.zeros(1, 1, 96, 96)
    target[..., :48] = 1
    weight = edge_weight(target)
    assert weight[0, 0, 48, 80].item() == 1
    assert weight[0, 0, 48, 47].item() == pytest.approx(1 + 5 * 15 / 31)
    assert weight[0, 0, 48, 24].item() == pytest.approx(1, abs=1e-5)


def test_bce_dice_of_a_hand_made_case() -> None:
    """No lead anywhere: every probability is 1/2, so BCE is ln 2 and Dice 1 - 2 * 0.5 / (2 + 1) for one of 4 pixels."""
    labels = torch.tensor([[1, 0], [0, 0]]).view(1, 1, 2, 2)
    expected = math.log(2) + 1 - (2 * 0.5) / (2 + 1)
    assert bce_dice_loss(torch.zeros(1, 2, 2, 2), labels).item() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("name", "classes"), [("structure", 1), ("bce_dice", 1), ("bce_dice", 3), ("dice_ce", 3)])
def test_losses_fall_towards_the_truth(name: str, classes: int) -> None:
    labels = random_masks(2, classes).unsqueeze(1)
    truth = torch.nn.functional.one_hot(labels[:, 0], classes + 1).movedim(-1, 1).float()
    leads = torch.cat([torch.zeros_like(truth[:, :1]), 2 * truth[:, 1:] - 1], dim=1)  # as classes are combined
    values = [LOSSES[name](scale * leads, labels).item() for scale in (-3.0, 0.0, 3.0, 30.0)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.01


def test_losses_are_finite_with_gradients_where_a_class_is_absent() -> None:
    for name, loss in LOSSES.items():
        logits = torch.zeros((1, 2, 32, 32), requires_grad=True)
        value = loss(logits, torch.zeros(1, 1, 32, 32, dtype=torch.int64))
        value.backward()
        assert value.isfinite(), name
        assert logits.grad.isfinite().all()


def test_dice_ce_counts_background() -> None:
    labels = torch.zeros(1, 1, 8, 8, dtype=torch.int64)
    sure = torch.zeros(1, 3, 8, 8)
    sure[:, 0] = 20
    assert dice_ce_loss(sure, labels).item() < dice_ce_loss(torch.zeros(1, 3, 8, 8), labels).item()
