"""The dense query-support attention head."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from medtap.networks.dense_attention import Mix, resize_to
from medtap.networks.level_matcher import LevelMatcher, cosines, mask_patches, sums_by_mask
from medtap.networks.segmenter import unfold_shots
from tests.tiny import random_images, random_masks, tiny_network


@settings(max_examples=10, deadline=None)
@given(order=st.permutations(range(5)))
def test_order_of_the_support_set_changes_nothing(order: list[int]) -> None:
    network = tiny_network()
    query, support, masks = random_images(1), random_images(5, seed=1), random_masks(5).float()
    logits = network(query, support.unsqueeze(0), masks.unsqueeze(0))
    permuted = network(query, support[order].unsqueeze(0), masks[order].unsqueeze(0))
    torch.testing.assert_close(permuted, logits, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("shots", [1, 5, 15])
def test_gradients_reach_every_shot_and_the_query(shots: int) -> None:
    network = tiny_network()
    query, support = random_images(1).requires_grad_(), random_images(shots, seed=1).requires_grad_()
    logits = network(query, support.unsqueeze(0), random_masks(shots).unsqueeze(0).float())
    (logits[:, 1] - logits[:, 0]).mean().backward()
    assert query.grad is not None
    assert query.grad.abs().sum() > 0
    assert support.grad is not None
    assert (support.grad.abs().flatten(1).sum(1) > 0).all()


def test_the_masks_matter() -> None:
    network = tiny_network()
    query, support, masks = random_images(1), random_images(2, seed=1).unsqueeze(0), random_masks(2).unsqueeze(0)
    inverse = network(query, support, (1 - masks).float())
    assert not torch.allclose(network(query, support, masks.float()), inverse, atol=1e-3)


@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_empty_and_full_masks_give_finite_logits(fill: float) -> None:
    masks = torch.full((1, 2, 64, 64), fill)
    assert tiny_network()(random_images(1), random_images(2).unsqueeze(0), masks).isfinite().all()


@pytest.mark.parametrize("key_pool", [1, 2])
def test_attention_equals_a_loop_over_heads(key_pool: int) -> None:
    torch.manual_seed(0)
    matcher = LevelMatcher(12, heads=2, key_pool=key_pool).eval()
    query, support, masks = torch.randn(1, 12, 6, 5), torch.randn(1, 3, 12, 6, 5), torch.rand(1, 3, 24, 20)
    keys = matcher.keys(support)
    patches = mask_patches(masks, keys.shape[2:4])
    with torch.no_grad():
        found = matcher(matcher.queries(query), *matcher.remember(keys, patches), patches)
    assert found.shape == (1, 6, 5, 2 * 16 + 2)
    projected, tokens = matcher.project(query)[0].flatten(1), keys[0].flatten(0, 2).T
    values = patches[0].permute(1, 0, 2, 3).flatten(1)
    for head in range(2):
        own = slice(16 * head, 16 * head + 16)
        similar = F.normalize(projected[own], dim=0).T @ F.normalize(tokens[own], dim=0)
        weights = (similar * matcher.temperature[head].exp()).softmax(1)
        torch.testing.assert_close(found[0, ..., own].flatten(0, 1), weights @ values.T, atol=1e-5, rtol=1e-4)


def test_pooled_keys_are_half_as_fine() -> None:
    matcher = LevelMatcher(4, heads=1, key_pool=2)
    assert matcher.keys(torch.randn(2, 3, 4, 7, 6)).shape == (2, 3, 3, 3, 16)


def test_a_place_adds_what_the_waves_at_its_row_and_column_say() -> None:
    matcher = LevelMatcher(4, heads=1)
    torch.nn.init.normal_(matcher.place.weight)
    features = torch.randn(1, 4, 3, 5)
    lines = [(torch.arange(side) + 0.5) / side for side in (3, 5)]
    rows_and_columns = torch.stack(torch.meshgrid(*lines, indexing="ij"))
    phases = 2 * torch.pi * torch.tensor([0.25, 0.5, 1, 2]).view(4, 1, 1, 1) * rows_and_columns
    waves = torch.cat([phases.sin(), phases.cos()]).flatten(0, 1).unsqueeze(0)
    expected = matcher.project(features) + matcher.place(waves)
    torch.testing.assert_close(matcher.queries(features), expected.permute(0, 2, 3, 1))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_attention_is_fused_however_features_lie_in_memory(memory_format: torch.memory_format) -> None:
    matcher = LevelMatcher(12, heads=2)
    features = torch.randn(2, 12, 6, 5).contiguous(memory_format=memory_format)
    keys = matcher.keys(features.unsqueeze(0))
    patches = torch.rand(1, 2, 16, 6, 5)
    digest = matcher.remember(keys, patches)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        found = matcher(matcher.queries(features[:1]), *digest, patches)
    found.sum().backward()
    assert found.isfinite().all()


def test_prototypes_of_a_hand_made_case() -> None:
    keys = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])  # pixel 0 is (1,0), pixel 1 is (0,1)
    sums = sums_by_mask(keys, torch.tensor([[0.0, 1.0]]))
    query = torch.tensor([3.0, 4.0]).view(1, 1, 1, 2)
    assert cosines(query, sums).flatten().tolist() == pytest.approx([0.6, 0.8])


def test_a_coarse_source_is_mixed_as_if_it_were_resized_first() -> None:
    mix = Mix((3, 5, 2), 8, 16)
    coarse, fine, other = torch.randn(2, 3, 3, 4), torch.randn(2, 5, 6, 8), torch.randn(2, 2, 6, 8)
    expected = torch.cat([resize_to(coarse, fine), fine, other], dim=1)
    for layer in mix:
        expected = layer(expected)
    torch.testing.assert_close(mix(coarse, fine, other), expected, atol=1e-5, rtol=1e-4)


def test_mask_patches_are_means_of_cells_in_reading_order() -> None:
    masks = torch.arange(64.0).view(1, 1, 8, 8)
    patches = mask_patches(masks, torch.Size((1, 1)))
    assert patches.shape == (1, 1, 16, 1, 1)
    assert patches.flatten().tolist() == F.avg_pool2d(masks, 2).flatten().tolist()
    uneven = mask_patches(torch.rand(2, 3, 37, 50), torch.Size((2, 3)))
    assert uneven.shape == (2, 3, 16, 2, 3)


def test_resize_to_takes_the_other_map_s_size() -> None:
    assert resize_to(torch.zeros(1, 2, 4, 4), torch.zeros(1, 5, 7, 3)).shape == (1, 2, 7, 3)


def test_memory_of_a_shot_depends_on_that_shot_alone() -> None:
    network = tiny_network()
    features = unfold_shots(network.encode(random_images(3)), 1)
    masks = random_masks(3).unsqueeze(0).float()
    whole = network.remember(features, masks)
    alone = network.remember(tuple(level[:, 1:2] for level in features), masks[:, 1:2])
    for kept, own in zip(whole, alone, strict=True):
        torch.testing.assert_close(kept[:, 1:2], own, atol=1e-6, rtol=1e-5)


def test_logits_are_of_stride_2_and_brought_to_the_picture_s_size_after() -> None:
    network, images = tiny_network(), random_images(2)
    memory = network.remember(unfold_shots(network.encode(images), 1), random_masks(2).unsqueeze(0).float())
    logits = network.recall(network.encode(images[:1]), memory)
    assert logits.shape == (1, 2, 32, 32)
    given = network(images[:1], images.unsqueeze(0), random_masks(2).unsqueeze(0).float())
    torch.testing.assert_close(network.resize(logits, (64, 64)), given)
