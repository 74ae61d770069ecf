"""What a batch of tasks teaches, and how a stream of them is scored."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, nn

from medtap.networks.segmenter import FewShotSegmenter
from medtap.networks.shots import leave_one_out
from medtap.pretraining import losses
from medtap.pretraining.episodes import Stage, TaskStream
from medtap.pretraining.families import SCENES
from medtap.pretraining.losses import backward, episode_iou, mask_loss, segment_each_other
from tests.tiny import random_images, random_masks, tiny_network


def test_mask_loss_is_cross_entropy_plus_dice() -> None:
    network, images, masks = tiny_network(), random_images(4).unflatten(0, (2, 2)), random_masks(4).unflatten(0, (2, 2))
    logits = segment_each_other(network, images, masks.float(), leave_one_out(2))
    assert logits.shape == (4, 2, 64, 64)
    probability, truth = logits.softmax(1)[:, 1], masks.flatten(0, 1)
    loss = mask_loss(logits, truth)
    entropy = -torch.where(truth == 1, probability, 1 - probability).log().mean()
    overlap, total = (probability * truth).sum((1, 2)), (probability + truth).sum((1, 2))
    dice = (1 - (2 * overlap + 100) / (total + 100)).mean()
    assert loss.item() == pytest.approx((entropy + dice).item(), rel=1e-4)


def test_segments_each_picture_by_the_others_of_its_task() -> None:
    network, images, masks = tiny_network(), random_images(6).unflatten(0, (2, 3)), random_masks(6).unflatten(0, (2, 3))
    logits = segment_each_other(network, images, masks.float(), leave_one_out(3))
    others = [0, 2]
    alone = network(images[1, 1][None], images[1, others][None], masks[1, others][None].float())
    torch.testing.assert_close(logits[4:5], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_iou_of_perfect_and_wrong_networks_leaves_the_mode_alone(training: bool) -> None:
    stream = TaskStream((Stage(2, 32, pictures=2, images=[2]),), 0, SCENES)

    class Known(FewShotSegmenter):
        def __init__(self, sign: float) -> None:
            super().__init__()
            self.sign = nn.Parameter(torch.tensor(sign))

        def encode(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
            masks = [stream[step][1][0] for step in range(2) if torch.equal(stream[step][0][0], images)]
            return (masks[0].unsqueeze(1),)

        def remember(self, _: tuple[torch.Tensor, ...], masks: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (masks,)

        def recall(self, query: tuple[torch.Tensor, ...], _: tuple[torch.Tensor, ...]) -> torch.Tensor:
            lead = self.sign * (query[0] - 0.5)
            return torch.cat([-lead, lead], dim=1)

    network = Known(1.0).train(training)
    assert episode_iou(network, stream) == 1.0
    assert network.training == training
    assert episode_iou(Known(-1.0), stream) == 0.0


def test_backward_adds_gradients_of_the_loss_it_tells() -> None:
    network = tiny_network().requires_grad_(True)
    images, masks = random_images(3)[None], random_masks(3)[None].float()
    first = backward(network, images, masks, masks, Generator().manual_seed(0))
    gradient = network.coarse.weight.grad.clone()
    again = backward(network, images, masks, masks, Generator().manual_seed(0))
    assert first == pytest.approx(again)
    torch.testing.assert_close(network.coarse.weight.grad, 2 * gradient)


def test_pictures_that_lack_the_class_are_segmented_but_are_no_shots(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def watched(network: FewShotSegmenter, images: torch.Tensor, masks: torch.Tensor, shots: torch.Tensor):
        seen.append(shots)
        return segment_each_other(network, images, masks, shots)

    monkeypatch.setattr(losses, "segment_each_other", watched)
    images, masks = random_images(5).unsqueeze(0), random_masks(5).unsqueeze(0).float()
    masks[:, 3:] = 0
    network = tiny_network().requires_grad_(True)
    for seed in range(6):
        assert backward(network, images, masks, masks, Generator().manual_seed(seed), lacking=2) > 0
    assert {len(shots) for shots in seen} == {5}
    assert {shots.shape[1] for shots in seen} == {1, 2}
    assert all(bool((shots < 3).all()) for shots in seen)
    assert not any(bool((shots[:3] == torch.arange(3)[:, None]).any()) for shots in seen)
