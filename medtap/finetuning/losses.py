"""The losses that the adapters' papers train on annotated images with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from monai.losses import DiceCELoss, DiceLoss
from torch import Tensor
from torch.nn import functional as F

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""From logits [B,N+1,H,W] and labels [B,1,H,W] in 0..N to a scalar."""

_WINDOW = 31  # side in pixels of the neighbourhood that tells how near an edge is
_STRESS = 5  # extra weight of a pixel whose neighbourhood is of the other class

_DICE = DiceLoss(sigmoid=True)
_DICE_CE = DiceCELoss(softmax=True, to_onehot_y=True)


def structure_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Weighted binary cross-entropy plus weighted IoU loss (F3Net, Wei et al., AAAI 2020; Conv-LoRA's for one class).

    A pixel weighs 1 + 5 |mean of the 31 x 31 pixels around it - itself|, so edges and small objects count more. Several
    implementations reduce the cross-entropy before it is weighted; here it is weighted pixel by pixel, as published.

    Args:
        logits: [B,2,H,W].
        labels: [B,1,H,W] in 0..1.
    """
    lead, target = leads(logits), labels.float()
    weight = edge_weight(target)
    entropy = F.binary_cross_entropy_with_logits(lead, target, reduction="none")
    weighted = (weight * entropy).sum((2, 3)) / weight.sum((2, 3))
    found = torch.sigmoid(lead)
    both, either = (found * target * weight).sum((2, 3)), ((found + target) * weight).sum((2, 3))
    return (weighted + 1 - (both + 1) / (either - both + 1)).mean()


def edge_weight(target: Tensor) -> Tensor:
    """1 + 5 |avgpool31(t) - t| of a target [B,1,H,W] in {0,1}; outside of the image counts as background."""
    return 1 + _STRESS * (F.avg_pool2d(target, _WINDOW, stride=1, padding=_WINDOW // 2) - target).abs()


def bce_dice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy plus Dice loss, the mean over classes of each against the rest (SAM-COBOT, section 4.1)."""
    lead = leads(logits)
    target = F.one_hot(labels[:, 0].long(), logits.shape[1]).movedim(-1, 1)[:, 1:].to(lead)
    return F.binary_cross_entropy_with_logits(lead, target) + _DICE(lead, target)


def dice_ce_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Dice loss plus cross-entropy over background and classes, MONAI's."""
    return _DICE_CE(logits, labels)


def leads(logits: Tensor) -> Tensor:
    """How far each class leads over background: logits [B,N+1,H,W] to [B,N,H,W]."""
    return logits[:, 1:] - logits[:, :1]


LOSSES: dict[str, Loss] = {"structure": structure_loss, "bce_dice": bce_dice_loss, "dice_ce": dice_ce_loss}
