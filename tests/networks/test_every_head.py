"""What every head does alike: sizes, gradients, shots chosen later, what it keeps, and that Take a Peek adapts it."""

from __future__ import annotations

import pytest
import torch

from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapters import Lora
from medtap.networks.classes import recall_by_itself, recall_classes, remember_classes
from medtap.networks.segmenter import FewShotSegmenter, unfold_shots
from medtap.networks.shots import leave_one_out
from tests.networks.tiny_heads import HEADS
from tests.tiny import random_images, random_masks, support_set

ONE_COPY = 1.3  # of the support features; DCAMA keeps one more map beside its keys, and all of them the masks
GENTLE = ("ssp", "ssp-refined")  # whose places switch on and off


@pytest.fixture(params=HEADS)
def head(request: pytest.FixtureRequest) -> str:
    """The name of a head."""
    return request.param


@pytest.fixture
def network(head: str) -> FewShotSegmenter:
    """A tiny network with that head."""
    return HEADS[head]()


@pytest.mark.parametrize(("shots", "classes"), [(1, 3), (5, 1), (15, 3)])
def test_gradients_reach_every_shot(network: FewShotSegmenter, shots: int, classes: int) -> None:
    masks = torch.randint(classes + 1, (shots, 64, 64), generator=torch.Generator().manual_seed(0))
    query, support = random_images(2, 48, 80, seed=9).requires_grad_(), random_images(shots).requires_grad_()
    memory = remember_classes(network, network.encode(support), masks, classes)
    assert {kept.shape[:2] for kept in memory} == {(classes, shots)}
    logits = recall_classes(network, network.encode(query), memory, query.shape[-2:])
    assert logits.shape == (2, classes + 1, 48, 80)
    logits.square().mean().backward()
    for gradient in (*query.grad, *support.grad):
        assert gradient.isfinite().all()
        assert gradient.any()


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(67, 101), (33, 50)])
def test_logits_have_the_size_of_the_query(network: FewShotSegmenter, height: int, width: int) -> None:
    masks = random_masks(2, 1, 64, 80).float().unsqueeze(0)
    logits = network(random_images(1, height, width), random_images(2, 64, 80, seed=1).unsqueeze(0), masks)
    assert logits.shape == (1, 2, height, width)
    assert logits.isfinite().all()


@torch.no_grad()
def test_a_query_is_one_more_shot_by_its_own_prediction(network: FewShotSegmenter) -> None:
    side, masks = network.size, random_masks(2, 2, network.size)
    query = network.encode(random_images(3, side, seed=5))
    memory = remember_classes(network, network.encode(random_images(2, side)), masks, 2)
    first = recall_classes(network, query, memory, torch.Size((side, side)))
    again = recall_by_itself(network, query, memory, first)
    assert again.shape == first.shape == (3, 3, side, side)
    assert again.isfinite().all()
    assert not torch.allclose(again, first)
    one = tuple(level[1:2] for level in query)
    torch.testing.assert_close(recall_by_itself(network, one, memory, first[1:2]), again[1:2], atol=1e-3, rtol=1e-3)


@torch.no_grad()
def test_leave_one_out_in_one_batch_equals_separate_forwards(network: FewShotSegmenter) -> None:
    images, masks = random_images(4, network.size), random_masks(4, height=network.size)
    features = network.encode(images)
    memory = remember_classes(network, features, masks, 1)
    at_once = recall_classes(network, features, memory, masks.shape[-2:], leave_one_out(4))
    for query in range(4):
        others = [shot for shot in range(4) if shot != query]
        alone = network(images[query : query + 1], images[others].unsqueeze(0), masks[others].unsqueeze(0).float())
        torch.testing.assert_close(at_once[query, 1], alone[0, 1] - alone[0, 0], atol=1e-4, rtol=1e-3)


@torch.no_grad()
def test_no_more_than_one_copy_of_the_support_features_is_kept(network: FewShotSegmenter) -> None:
    support = unfold_shots(network.encode(random_images(3)), 1)
    memory = network.remember(support, random_masks(3).float().unsqueeze(0))
    features = sum(level.numel() for level in support)
    grams = sum(kept.numel() for kept in memory if kept.ndim == 4 and kept.shape[2] == kept.shape[3] != 64)
    assert sum(kept.numel() for kept in memory) - grams <= ONE_COPY * features


def test_take_a_peek_lowers_the_support_loss(head: str, network: FewShotSegmenter) -> None:
    rate = 3e-3 if head in GENTLE else 1e-2
    options = TapOptions(passes=6, learning_rate=rate, augment="none", guard="none", precision="float32")
    losses = take_a_peek(network, support_set(3, size=network.size), Lora(rank=4, dropout=0.0), options).record.losses
    assert losses[-1] < losses[0]
