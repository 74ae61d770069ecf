"""What a batch of tasks teaches: each picture segmented by others of its task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Generator, Tensor

from medtap.losses import dice_ce_loss
from medtap.networks.segmenter import FewShotSegmenter, unfold_shots
from medtap.networks.shots import leave_one_out, select_shots

Batches: TypeAlias = Sequence[tuple[Tensor, Tensor]]
"""Of tasks: images [T,n,3,S,S] in [0,1] and masks [T,n,S,S] in {0,1}."""


def segment_each_other(network: FewShotSegmenter, images: Tensor, masks: Tensor, shots: Tensor) -> Tensor:
    """Segment pictures of T tasks by others of their task.

    Args:
        network: the network.
        images: [T,n,3,S,S] in [0,1].
        masks: [T,n,S,S] in {0,1}.
        shots: indices [n,K] of the pictures that each one is segmented by.

    Returns:
        Logits [T*n,2,S,S].
    """
    features = network.encode(images.flatten(0, 1))
    memory = network.remember(unfold_shots(features, len(images)), masks)
    return network.resize(network.recall(features, select_shots(memory, shots)).float(), masks.shape[-2:])


def mask_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy plus Dice loss of logits [B,2,S,S] against masks [B,S,S] in {0,1}."""
    return dice_ce_loss(logits, masks.long())


def backward(
    network: FewShotSegmenter, images: Tensor, masks: Tensor, drawn: Tensor, generator: Generator, lacking: int = 0
) -> float:
    """Add the gradients of a batch of tasks, every picture segmented by as many others as are drawn by lot; the loss.

    Shots have the masks ``drawn``, what is found is compared with ``masks``. The last ``lacking`` pictures of each task
    are shots of none.
    """
    number = images.shape[1]
    count = int(torch.randint(1, number - lacking, (1,), generator=generator))
    shots = leave_one_out(number, count, generator, shown=torch.arange(number) < number - lacking)
    loss = mask_loss(segment_each_other(network, images, drawn, shots.to(images.device)), masks.flatten(0, 1))
    loss.backward()
    return loss.item()


@torch.no_grad()
def episode_iou(network: FewShotSegmenter, batches: Batches) -> float:
    """Mean IoU over every picture of batches of tasks, each segmented by all others of its task."""
    device = next(network.parameters()).device
    mode = network.training
    network.eval()
    scores = []
    for step in range(len(batches)):
        images, masks = (part.to(device) for part in batches[step])
        shots = leave_one_out(images.shape[1]).to(device)
        found = segment_each_other(network, images, masks, shots).argmax(1).bool()
        truth = masks.flatten(0, 1).bool()
        union = (found | truth).sum((1, 2)).clamp_min(1)
        scores.append(((found & truth).sum((1, 2)) / union).mean())
    network.train(mode)
    return float(torch.stack(scores).mean())
