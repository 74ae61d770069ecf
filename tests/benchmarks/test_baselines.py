"""The baselines that barely look at the support set, against cases reckoned by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.filters import threshold_otsu

from medtap.benchmarks.baselines import CentredDisc, Otsu, centred_rings, otsu_levels
from medtap.support import SupportSet
from tests.tiny import random_images, random_masks, support_set


def test_disc_has_the_supports_mean_share_and_lies_in_the_middle():
    support = support_set(4)
    found = CentredDisc(64).learn(support).segment(random_images(2, 80, 100)).argmax(1)
    assert found.shape == (2, 80, 100)
    assert found.float().mean() == pytest.approx(support.masks.float().mean().item(), abs=0.002)
    assert torch.equal(found, found.flip(-1))
    assert torch.equal(found, found.flip(-2))
    assert found[0, 40, 50] == 1
    assert found[0, 0, 0] == 0


def test_classes_are_rings_of_their_shares():
    rings = centred_rings(100, 100, torch.tensor([0.1, 0.2]))
    assert [(rings == label).float().mean().item() for label in (1, 2)] == pytest.approx([0.1, 0.2], abs=0.002)
    assert rings[50].unique_consecutive().tolist() == [0, 2, 1, 2, 0]


def test_foreground_that_fills_the_picture_fills_it():
    assert centred_rings(20, 20, torch.tensor([1.0])).float().mean() == 1


@pytest.mark.parametrize("bright", [True, False])
def test_otsu_takes_its_polarity_from_the_support_set(bright):
    masks = random_masks(3)
    noise = 0.2 * random_images(3)
    images = noise + 0.7 * (masks if bright else 1 - masks)[:, None]
    support = SupportSet.from_tensors(images[:2], masks[:2], ("thing",))
    found = Otsu(64).learn(support).segment(images[2:]).argmax(1)
    assert torch.equal(found, masks[2:])


def test_otsu_levels_are_scikit_images():
    image = random_images(1)[0] ** 3
    grey = np.round(image.mean(0).numpy() * 255).astype(np.uint8)
    assert np.array_equal(otsu_levels(image, 1), grey > threshold_otsu(grey))


def test_otsu_tells_several_classes_by_their_greys():
    masks = random_masks(3, classes=2)
    images = (0.1 + 0.4 * masks[:, None] + 0.05 * random_images(3)).clamp(0, 1)
    support = SupportSet.from_tensors(images[:2], masks[:2], ("dark", "bright"))
    assert torch.equal(Otsu(64).learn(support).segment(images[2:]).argmax(1), masks[2:])


def test_a_picture_of_one_grey_is_one_level():
    assert not otsu_levels(torch.full((3, 8, 8), 0.5), 1).any()
