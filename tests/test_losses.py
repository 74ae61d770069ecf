"""The support losses against hand numbers and MONAI's, and the Dice loss of masks against the metric of reports."""

from __future__ import annotations

import math

import pytest
import torch
from monai.losses import FocalLoss
from torch.nn import functional as F

from medtap.losses import (
    IGNORED,
    SUPPORT_LOSSES,
    Loss,
    class_weights,
    dice_ce_loss,
    dice_loss,
    mask_dice_loss,
    support_loss,
)
from medtap.metrics.cases import score_case
from medtap.tap_options import LOSSES


def test_weights_of_the_paper() -> None:
    halves = torch.tensor([[[0, 0, 1, 1]], [[0, 0, 0, 0]]])
    weights = class_weights(halves, 2)
    assert weights[0].tolist() == pytest.approx([2.128, 2.128], abs=1e-3)
    assert weights[1].tolist() == pytest.approx([1.348, 10.492], abs=1e-3)


def test_ignored_pixels_are_not_counted() -> None:
    target = torch.tensor([[[0, 1, IGNORED, IGNORED], [IGNORED, 2, 2, IGNORED]]])
    expected = [1 / math.log(1.1 + share) for share in (0.25, 0.25, 0.5, 0.0)]
    assert class_weights(target, 4)[0].tolist() == pytest.approx(expected, rel=1e-6)


def test_nothing_but_ignored_pixels() -> None:
    target = torch.full((1, 4, 4), IGNORED)
    assert class_weights(target, 2).isfinite().all()
    logits = torch.randn(1, 2, 4, 4, requires_grad=True)
    loss = support_loss(logits, target)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().sum() == 0


@pytest.mark.parametrize("classes", [2, 4])
def test_focal_loss_equals_monai_s_where_weights_are_equal(classes: int) -> None:
    torch.manual_seed(0)
    target = torch.arange(classes).repeat_interleave(16).view(1, classes * 4, 4)[:, torch.randperm(classes * 4)]
    logits = 3 * torch.randn(1, classes, classes * 4, 4)
    focal = FocalLoss(use_softmax=True, to_onehot_y=True, gamma=2.0, reduction="none")
    reference = focal(logits, target.unsqueeze(1)).sum(1).mean() / math.log(1.1 + 1 / classes)
    assert support_loss(logits, target).item() == pytest.approx(reference.item(), rel=1e-5)


def test_without_focus_it_is_weighted_cross_entropy() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(1, 3, 5, 7), torch.randint(0, 3, (1, 5, 7))
    target[0, 0, :3] = IGNORED
    pixels = F.cross_entropy(logits, target, class_weights(target, 3)[0], reduction="none", ignore_index=IGNORED)
    expected = pixels.sum() / (target != IGNORED).sum()
    assert support_loss(logits, target, gamma=0.0).item() == pytest.approx(expected.item(), rel=1e-5)


def test_one_pixel_by_hand() -> None:
    logits = torch.log(torch.tensor([0.2, 0.8])).view(1, 2, 1, 1)
    loss = support_loss(logits, torch.tensor([[[0]]]))
    assert loss.item() == pytest.approx(0.8**2 * -math.log(0.2) / math.log(2.1), rel=1e-5)


def test_pictures_at_once_give_the_mean_of_one_at_a_time() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(3, 2, 6, 6), torch.randint(0, 2, (3, 6, 6))
    target[0, :4] = IGNORED
    target[1] = 0
    alone = [support_loss(logits[[index]], target[[index]]) for index in range(3)]
    torch.testing.assert_close(support_loss(logits, target), torch.stack(alone).mean())


@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_certain_logits_give_finite_gradients(scale: float) -> None:
    logits = torch.tensor([scale, -scale]).view(1, 2, 1, 1).requires_grad_()
    loss = support_loss(logits, torch.tensor([[[0]]]))
    loss.backward()
    assert loss.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_half_precision_is_summed_in_single() -> None:
    logits, target = torch.randn(1, 2, 64, 64), torch.randint(0, 2, (1, 64, 64))
    loss = support_loss(logits.bfloat16(), target)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(support_loss(logits, target).item(), rel=0.02)


def test_losses_by_name_are_those_that_the_options_know() -> None:
    assert tuple(SUPPORT_LOSSES) == LOSSES


def test_dice_ce_is_the_dice_loss_of_classes_and_cross_entropy() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 8, 8))
    expected = dice_loss(logits, target) + F.cross_entropy(logits, target)
    torch.testing.assert_close(dice_ce_loss(logits, target), expected)
    assert dice_ce_loss(logits.bfloat16(), target).dtype == torch.float32


@pytest.mark.parametrize("loss", [dice_ce_loss, mask_dice_loss])
def test_other_losses_of_pictures_at_once_are_the_mean_too(loss: Loss) -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(3, 2, 6, 6), torch.randint(0, 2, (3, 6, 6))
    alone = [loss(logits[[index]], target[[index]]) for index in range(3)]
    torch.testing.assert_close(loss(logits, target), torch.stack(alone).mean())


def test_focal_loss_finds_small_objects_too_large_and_cross_entropy_does_not() -> None:
    """Of pixels that look alike, a tenth of them foreground, the weighted loss is least at a chance far above that."""
    target = torch.zeros(1, 10, 10, dtype=torch.long)
    target[:, 0] = 1
    chance = torch.arange(1, 100) / 100
    logits = torch.stack([1 - chance, chance]).log().T[:, :, None, None].expand(-1, -1, 10, 10)
    focal, even = (
        torch.stack([loss(each[None], target) for each in logits]) for loss in (support_loss, F.cross_entropy)
    )
    assert chance[focal.argmin()] > 0.3
    assert chance[even.argmin()] == pytest.approx(0.1, abs=0.01)


def test_mask_dice_loss_is_one_less_the_dice_of_reports() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 9, 7), torch.randint(0, 3, (2, 9, 7))
    pairs = zip(logits.argmax(1).numpy(), target.numpy(), strict=True)
    scores = [score_case(found, label, ("a", "b")).dice for found, label in pairs]
    mean = sum(sum(own) for own in scores) / 4
    assert mask_dice_loss(logits, target).item() == pytest.approx(1 - mean, rel=1e-5)


@pytest.mark.parametrize(("found", "there", "expected"), [(False, False, 0), (True, False, 1), (False, True, 1)])
def test_mask_dice_loss_of_a_class_that_is_missing(found: bool, there: bool, expected: float) -> None:
    logits = torch.zeros(1, 2, 4, 4)
    logits[:, int(found)] = 1
    assert mask_dice_loss(logits, torch.full((1, 4, 4), int(there))).item() == expected


@pytest.mark.parametrize("rows", [2, 20])
def test_what_is_found_of_a_missing_class_is_a_loss_that_falls_with_it(rows: int) -> None:
    logits = torch.full((1, 2, 64, 64), -20.0)
    logits[:, 0, rows:], logits[:, 1, :rows] = 20.0, 20.0
    found = 64 * rows
    assert dice_loss(logits, torch.zeros(1, 64, 64).long()).item() == pytest.approx(found / (found + 100), rel=1e-5)
