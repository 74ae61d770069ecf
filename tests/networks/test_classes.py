"""N classes: one binary decode a class, combined."""

from __future__ import annotations

import pytest
import torch

from medtap.networks.classes import beside_background, class_leads, class_masks, recall_classes, remember_classes
from medtap.networks.segmenter import unfold_shots
from tests.tiny import random_images, random_masks, tiny_network


def test_class_masks_are_one_binary_mask_a_class() -> None:
    masks = class_masks(torch.tensor([[[0, 1], [2, 1]]]), 3)
    assert masks.tolist() == [[[[0, 1], [0, 1]]], [[[0, 0], [1, 0]]], [[[0, 0], [0, 0]]]]
    assert masks.dtype == torch.float32


def test_one_class_gives_the_binary_softmax() -> None:
    binary = torch.randn(1, 3, 2, 5, 4)
    combined = beside_background(class_leads(binary))
    assert combined.shape == (3, 2, 5, 4)
    torch.testing.assert_close(combined.softmax(1), binary[0].softmax(1))


def test_background_wins_where_no_class_leads() -> None:
    binary = torch.tensor([[[1.0, -1.0]], [[0.0, 3.0]], [[2.0, 2.5]]])[..., None, None]
    combined = beside_background(class_leads(binary))
    assert combined.flatten().tolist() == [0.0, -2.0, 3.0, 0.5]
    behind = class_leads(torch.tensor([[[1.0, 0.0]], [[1.0, 0.5]]])[..., None, None])
    assert beside_background(behind).argmax(1).item() == 0


@pytest.mark.parametrize("shots", [1, 5, 15])
@pytest.mark.parametrize("classes", [1, 3])
def test_classes_equal_separate_forwards(shots: int, classes: int) -> None:
    network = tiny_network()
    query, support, masks = random_images(2), random_images(shots, seed=1), random_masks(shots, classes)
    memory = remember_classes(network, network.encode(support), masks, classes)
    assert all(kept.shape[:2] == (classes, shots) for kept in memory)
    logits = recall_classes(network, network.encode(query), memory, query.shape[-2:])
    assert logits.shape == (2, classes + 1, 64, 64)
    assert torch.equal(logits[:, 0], torch.zeros(2, 64, 64))
    for label in range(1, classes + 1):
        own = (masks == label).float().expand(2, -1, -1, -1)
        binary = network(query, support.expand(2, -1, -1, -1, -1), own)
        torch.testing.assert_close(logits[:, label], binary[:, 1] - binary[:, 0], atol=1e-5, rtol=1e-4)


def test_chosen_shots_equal_a_memory_of_these_shots_alone() -> None:
    network = tiny_network()
    query, support, masks = network.encode(random_images(2)), random_images(4, seed=1), random_masks(4, 2)
    memory = remember_classes(network, network.encode(support), masks, 2)
    shots = torch.tensor([[0, 2], [3, 1]])
    logits = recall_classes(network, query, memory, torch.Size((64, 64)), shots)
    for index, chosen in enumerate(shots):
        alone = remember_classes(network, network.encode(support[chosen]), masks[chosen], 2)
        one = tuple(level[index : index + 1] for level in query)
        expected = recall_classes(network, one, alone, torch.Size((64, 64)))
        torch.testing.assert_close(logits[index : index + 1], expected, atol=1e-5, rtol=1e-4)


def test_a_class_does_not_depend_on_the_others() -> None:
    network = tiny_network()
    support, masks = network.encode(random_images(3)), random_masks(3, 3)
    memory = remember_classes(network, support, masks, 3)
    alone = network.remember(unfold_shots(support, 1), (masks == 2).float().unsqueeze(0))
    assert all(torch.equal(kept[1:2], own) for kept, own in zip(memory, alone, strict=True))
