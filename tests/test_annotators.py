"""Masks by several hands: how far they come from the true ones, and what stays."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from medtap.annotators import redrawn, thickness
from medtap.pretraining import losses
from medtap.pretraining.losses import backward
from medtap.pretraining.scenes import coordinates
from tests.tiny import random_images, random_masks, tiny_network


def discs(*radii: float, size: int = 96) -> Tensor:
    """Masks of discs [n,S,S] of these radii in pixels."""
    distance = torch.hypot(*coordinates(size)) * size / 2
    return torch.stack([(distance < radius).float() for radius in radii])


def overlap(first: Tensor, second: Tensor) -> Tensor:
    both, either = (first * second).sum((-2, -1)), torch.maximum(first, second).sum((-2, -1))
    return both / either


@pytest.mark.parametrize("radius", [6, 14, 30])
def test_thickness_is_the_radius_of_discs(radius: int) -> None:
    assert float(thickness(discs(radius))) == pytest.approx(radius, rel=0.06)


def test_hands_differ_about_the_border_alone() -> None:
    masks = discs(*[26.0] * 8)
    drawn = torch.stack([redrawn(masks, 0.3, Generator().manual_seed(seed)) for seed in range(12)])
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    agreement = overlap(drawn, masks)
    assert 0.75 < float(agreement.min()) < 0.93
    assert 0.93 < float(agreement.mean()) < 0.99
    areas = drawn.sum((2, 3)) / masks.sum((1, 2))
    assert float(areas.min()) < 0.95 < 1.05 < float(areas.max())  # tight hands and wide ones
    assert float(areas.mean()) == pytest.approx(1, abs=0.03)


def test_vessels_and_lost_objects_stay_as_they_were() -> None:
    vessels = torch.zeros(3, 64, 64)
    vessels[:, 20:22] = 1
    dots = torch.zeros(4, 64, 64)
    dots[:3, 5:40, 5:40] = 1
    dots[3, 30, 30] = 1
    for seed in range(8):
        assert torch.equal(redrawn(vessels, 0.4, Generator().manual_seed(seed)), vessels)
        assert bool(redrawn(dots, 0.4, Generator().manual_seed(seed)).flatten(1).any(1).all())


def test_a_picture_without_the_class_stays_without_it() -> None:
    assert not bool(redrawn(torch.zeros(2, 48, 48), 0.5, Generator().manual_seed(0)).any())


def test_classes_that_meet_still_do_and_keep_what_is_theirs() -> None:
    labels = torch.zeros(6, 96, 96, dtype=torch.int64)
    labels[:, 20:70, 20:45], labels[:, 20:70, 45:75] = 1, 2
    for seed in range(6):
        drawn = redrawn(labels, 0.4, Generator().manual_seed(seed))
        assert drawn.dtype == labels.dtype
        assert not bool(drawn[:, 30:60, 30:65].eq(0).any())  # no gap between the two
        for number in (1, 2):
            assert float(overlap((drawn == number).float(), (labels == number).float()).min()) > 0.75


def test_no_disagreement_draws_nothing_and_a_seed_decides() -> None:
    masks, generator = discs(20.0, 24.0), Generator().manual_seed(3)
    before = generator.get_state()
    assert redrawn(masks, 0.0, generator) is masks
    assert torch.equal(generator.get_state(), before)
    first, again, other = (redrawn(masks, 0.4, Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_shots_have_the_masks_drawn_and_queries_the_true_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny_network().requires_grad_(True)
    images, masks = random_images(3)[None], random_masks(3)[None].float()
    drawn, seen = 1 - masks, []
    remember = network.remember
    monkeypatch.setattr(network, "remember", lambda support, masks: (seen.append(masks), remember(support, masks))[1])
    compared = []
    monkeypatch.setattr(losses, "mask_loss", lambda logits, truth: (compared.append(truth), logits.mean())[1])
    backward(network, images, masks, drawn, Generator().manual_seed(0))
    assert torch.equal(seen[0], drawn)
    assert torch.equal(compared[0], masks.flatten(0, 1))
