"""The losses that a support set teaches by, and what its masks miss of Dice."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from monai.losses import DiceLoss
from monai.metrics import compute_dice
from torch import Tensor
from torch.nn import functional as F

IGNORED = -100
SMOOTH = 100.0
"""Pixels that the Dice loss is smoothed by."""
_DICE = DiceLoss(softmax=True, to_onehot_y=True, include_background=False, smooth_nr=SMOOTH, smooth_dr=SMOOTH)

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""From logits [B,C,H,W] and labels [B,H,W] to a scalar, of B pictures the mean of what each gives alone."""


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Soft Dice loss of the classes, background left out, of logits [B,C,H,W] against labels [B,H,W]; a scalar.

    It is smoothed by 100 pixels, so that of a class that a picture lacks, n pixels found are a loss of n / (n + 100).
    """
    return _DICE(logits, target.unsqueeze(1))


def class_weights(target: Tensor, classes: int) -> Tensor:
    """Weights 1 / ln(1.1 + f) of each class by its frequency f among a target's pixels (ENet's, as TaP uses them).

    Args:
        target: labels [B,H,W]; pixels of IGNORED are not counted.
        classes: number of channels C, background included.

    Returns:
        [B,C]; 10.49, 2.13 and 1.35 for frequencies 0, 0.5 and 1.
    """
    counted = torch.where(target == IGNORED, classes, target)
    counts = F.one_hot(counted.flatten(1), classes + 1)[..., :classes].sum(1).float()
    frequency = counts / counts.sum(1, keepdim=True).clamp_min(1)
    return 1 / torch.log(1.1 + frequency)


def support_loss(logits: Tensor, target: Tensor, gamma: float = 2.0) -> Tensor:
    """Focal loss, each pixel weighted by the frequency of its class (TaP, equation 4; Lin et al., ICCV 2017).

    Args:
        logits: [B,C,H,W].
        target: labels [B,H,W] in 0..C-1, or IGNORED.
        gamma: the focus.

    Returns:
        A scalar: the mean over pixels of each picture, then over pictures, so that B pictures at once give the mean of
        what they give one at a time.
    """
    valid = target != IGNORED
    labels = target.masked_fill(~valid, 0)
    log_probability = logits.float().log_softmax(1).gather(1, labels.unsqueeze(1)).squeeze(1)
    weights = class_weights(target, logits.shape[1]).gather(1, labels.flatten(1)).view_as(log_probability)
    pixels = -((1 - log_probability.exp()) ** gamma) * log_probability * weights * valid
    return (pixels.flatten(1).sum(1) / valid.flatten(1).sum(1).clamp_min(1)).mean()


def dice_ce_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Dice loss of the classes plus cross-entropy of logits [B,C,H,W] against labels [B,H,W] in 0..C-1.

    Where objects are small it does not weigh them up, as ``support_loss`` does, which then finds them too large. Unlike
    ``dice_ce`` of fine-tuning, its Dice loss leaves the background out.
    """
    logits = logits.float()
    return dice_loss(logits, target) + F.cross_entropy(logits, target)


SUPPORT_LOSSES: dict[str, Loss] = {"focal": support_loss, "dice_ce": dice_ce_loss}


def mask_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """1 less the Dice of masks, as users measure it: no gradient, and the more likely class takes the whole pixel.

    Args:
        logits: [B,C,H,W].
        target: labels [B,H,W] in 0..C-1.

    Returns:
        A scalar: the mean over pictures and classes, background left out; 0 for a class neither there nor found.
    """
    found, classes = logits.argmax(1, keepdim=True), logits.shape[1]
    dice = compute_dice(found, target.unsqueeze(1), include_background=False, ignore_empty=False, num_classes=classes)
    return 1 - dice.mean()
