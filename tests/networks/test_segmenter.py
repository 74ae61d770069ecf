"""The interface of every few-shot network: encode, decode, and forward as their composition."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from medtap.networks.segmenter import FewShotSegmenter, resize_logits, share_weights, unfold_shots
from tests.tiny import random_images, random_masks, tiny_network


class MeanSegmenter(FewShotSegmenter):
    """The least a network can be: its features are the images, its memory the default one."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Identity()

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        return (images,)

    def recall(self, query: tuple[Tensor, ...], memory: tuple[Tensor, ...]) -> Tensor:
        support, masks = memory
        lead = (support * masks.unsqueeze(2)).mean((1, 2)) + query[0].mean(1)
        return torch.stack([-lead, lead], dim=1)


def test_base_class_leaves_encode_and_recall_to_the_networks() -> None:
    network = FewShotSegmenter()
    with pytest.raises(NotImplementedError):
        network.encode(random_images(1))
    with pytest.raises(NotImplementedError):
        network.recall((), ())


def test_default_memory_is_the_support_itself() -> None:
    network, images, masks = MeanSegmenter(), random_images(3).unsqueeze(0), random_masks(3).unsqueeze(0).float()
    memory = network.remember((images,), masks)
    assert memory[0] is images
    assert memory[1] is masks
    logits = network(random_images(1, seed=1), images, masks)
    expected = (images * masks.unsqueeze(2)).mean((1, 2)) + random_images(1, seed=1).mean(1)
    torch.testing.assert_close(logits, torch.stack([-expected, expected], dim=1))


@pytest.mark.parametrize("shots", [1, 5, 15])
def test_forward_is_encode_then_decode(shots: int) -> None:
    network = tiny_network()
    query, support = random_images(2), random_images(2 * shots, seed=1).unflatten(0, (2, shots))
    masks = random_masks(2 * shots).unflatten(0, (2, shots)).float()
    features = unfold_shots(network.encode(support.flatten(0, 1)), 2)
    decoded = network.decode(network.encode(query), features, masks)
    assert decoded.shape == (2, 2, 64, 64)
    assert torch.equal(network(query, support, masks), decoded)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 96), (67, 81), (33, 50)])
def test_logits_have_the_size_of_the_query(height: int, width: int) -> None:
    network = tiny_network()
    query, support = random_images(1, height, width), random_images(2, 64, 80, seed=1).unsqueeze(0)
    logits = network(query, support, random_masks(2, 1, 64, 80).unsqueeze(0).float())
    assert logits.shape == (1, 2, height, width)
    assert logits.isfinite().all()


@settings(max_examples=25, deadline=None)
@given(height=st.integers(32, 140), width=st.integers(32, 140))
def test_support_sets_of_any_size_from_32_pixels(height: int, width: int) -> None:
    support, masks = random_images(2, height, width).unsqueeze(0), random_masks(2, 1, height, width).unsqueeze(0)
    logits = tiny_network()(random_images(1), support, masks.float())
    assert logits.shape == (1, 2, 64, 64)
    assert logits.isfinite().all()


def test_unfold_shots_keeps_the_order_of_pictures() -> None:
    (unfolded,) = unfold_shots((torch.arange(6).view(6, 1, 1, 1),), 2)
    assert unfolded[:, :, 0, 0, 0].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_resize_logits_leaves_logits_of_the_right_size_alone() -> None:
    logits = torch.randn(1, 2, 8, 9)
    assert resize_logits(logits, (8, 9)) is logits
    constant = resize_logits(torch.full((1, 2, 4, 4), 3.0), (7, 5))
    torch.testing.assert_close(constant, torch.full((1, 2, 7, 5), 3.0))


def test_share_weights_shares_storage_and_nothing_else() -> None:
    network = tiny_network()
    network.requires_grad_(True)
    copy = share_weights(network).requires_grad_(False)
    pairs = list(zip(network.parameters(), copy.parameters(), strict=True))
    assert all(mine is not theirs and mine.data_ptr() == theirs.data_ptr() for mine, theirs in pairs)
    assert all(mine.requires_grad and not theirs.requires_grad for mine, theirs in pairs)
    copy.coarse.weight = nn.Parameter(torch.zeros_like(copy.coarse.weight))
    assert network.coarse.weight.abs().sum() > 0


def test_share_weights_shares_buffers() -> None:
    norm = nn.BatchNorm2d(3)
    assert share_weights(norm).running_mean.data_ptr() == norm.running_mean.data_ptr()
