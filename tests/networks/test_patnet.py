"""PATNet: its transform by pseudo-inverse, and its published logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from medtap.networks.anchors import (
    coordinates,
    dual_rows,
    gram_matrix,
    lowered,
    masked_prototypes,
    unit_coordinates,
    unit_rows,
)
from medtap.networks.checkpoints.layout import translate, unknown_names
from medtap.networks.checkpoints.patnet import PATNET
from medtap.networks.patnet import PatnetSegmenter, by_block
from tests.networks.official_hypercorrelation import HEAD, official_weights, tiny_blocks
from tests.networks.plain_hypercorrelation import plain_blocks, plain_patnet
from tests.tiny import random_images, random_masks


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 128), (75, 98)])
def test_official_weights_give_the_published_logits(height: int, width: int) -> None:
    weights, rules = official_weights(anchors=3), PATNET["resnet50"]
    network = PatnetSegmenter(tiny_blocks(), HEAD).eval()
    assert unknown_names(weights, rules) == []
    network.load_state_dict(translate(weights, rules))
    query, support = random_images(1, height, width, 9), random_images(1, height, width, 1)
    mask = random_masks(1, 1, height, width).float()
    published = plain_patnet(weights, plain_blocks(weights, query), plain_blocks(weights, support), mask)
    published = F.interpolate(published, (height, width), mode="bilinear", align_corners=True)
    torch.testing.assert_close(network(query, support[None], mask[None]), published, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("apart", [1.0, 0.1, 0.01])
def test_dual_rows_are_the_pseudo_inverse(apart: float) -> None:
    torch.manual_seed(0)
    first = torch.randn(3, 1, 40)
    prototypes = 5 * torch.cat([first, first + apart * torch.randn(3, 1, 40)], dim=1)
    expected = np.linalg.pinv(unit_rows(prototypes).double().numpy())
    found = dual_rows(prototypes)
    torch.testing.assert_close(found.mT.double(), torch.from_numpy(expected), atol=1e-4 / apart, rtol=1e-4)


@pytest.mark.parametrize("missing", [0, 1])
def test_a_missing_prototype_gives_a_row_of_zero(missing: int) -> None:
    prototypes = torch.randn(2, 7)
    prototypes[missing] = 0
    expected = np.linalg.pinv(unit_rows(prototypes).numpy())
    torch.testing.assert_close(dual_rows(prototypes).mT, torch.from_numpy(expected), atol=1e-5, rtol=1e-4)


def test_equal_prototypes_give_finite_rows_and_gradients() -> None:
    prototypes = torch.randn(1, 7).expand(2, 7).clone().requires_grad_()
    duals = dual_rows(prototypes)
    duals.sum().backward()
    assert duals[1].abs().max() == 0
    assert prototypes.grad.isfinite().all()


def test_prototypes_of_a_hand_made_case() -> None:
    features = torch.tensor([[1.0, 3.0, 5.0], [0.0, 2.0, 4.0]]).view(2, 1, 3)
    masks = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 3)
    expected = torch.tensor([[2.5 / 1.5, 1 / 1.5], [6.5 / 1.5, 5 / 1.5]])
    torch.testing.assert_close(masked_prototypes(features, masks), expected)


def test_coordinates_stand_for_the_transformed_features() -> None:
    torch.manual_seed(0)
    prototypes, anchors, features = torch.randn(2, 9), torch.randn(2, 9), torch.randn(9, 4, 5)
    inverse = torch.from_numpy(np.linalg.pinv(unit_rows(prototypes).numpy()))
    transformed = torch.einsum("cd,chw->dhw", inverse @ unit_rows(anchors), features)
    gram, places = gram_matrix(anchors), coordinates(dual_rows(prototypes), features)
    lengths = transformed.norm(dim=0) + 1e-5
    torch.testing.assert_close(unit_coordinates(places, gram), places / lengths, atol=1e-5, rtol=1e-4)
    products = torch.einsum("chw,cvz->hwvz", transformed, transformed)
    found = torch.einsum("ahw,avz->hwvz", lowered(places, gram), places)
    torch.testing.assert_close(found, products, atol=1e-4, rtol=1e-4)


def test_values_are_repeated_for_the_blocks_of_their_stage() -> None:
    assert "".join(by_block("abc", (1, 3, 2))) == "abbbcc"
