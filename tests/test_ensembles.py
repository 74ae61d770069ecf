"""Averages of predictions, mirror images, and subsets of a support set."""

from __future__ import annotations

from math import comb

import pytest
import torch
from torch import Tensor

from medtap.ensembles import FLIPS, mean_prediction, segment_flipped, support_subsets
from medtap.errors import OptionError
from tests.tiny import random_images


def random_logits(members: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn((members, 2, 3, 5, 4), generator=torch.Generator().manual_seed(0))


def test_probabilities_are_averaged() -> None:
    logits = random_logits(4)
    torch.testing.assert_close(mean_prediction(logits).exp(), logits.softmax(2).mean(0))


def test_single_prediction_passes_as_it_is() -> None:
    logits = random_logits(1)
    assert torch.equal(mean_prediction(logits), logits[0])


def test_no_vote_counts_more_than_another_however_sure() -> None:
    sure, others = torch.tensor([-1e4, 1e4]), torch.tensor([1.0, 0.0])
    mean = mean_prediction(torch.stack([sure, others, others, others])[:, None, :, None, None]).flatten()
    assert mean.isfinite().all()
    assert mean.argmax() == 0
    assert torch.stack([sure, others, others, others]).mean(0).argmax() == 1


def whereabouts(images: Tensor) -> Tensor:
    """A network that goes by the place: brighter than its row and column are far."""
    rows, columns = torch.meshgrid(torch.arange(6.0), torch.arange(8.0), indexing="ij")
    lead = 9 * images[:, 0] - rows - 0.3 * columns
    return torch.stack([torch.zeros_like(lead), lead], dim=1)


@pytest.mark.parametrize(("flips", "mirrored"), [("horizontal", [-1]), ("both", [-1]), ("both", [-2])])
def test_mirrored_picture_gets_the_mirrored_prediction(flips: str, mirrored: list[int]) -> None:
    images = random_images(2, 6, 8)
    found = segment_flipped(whereabouts, images, flips)
    torch.testing.assert_close(segment_flipped(whereabouts, images.flip(mirrored), flips), found.flip(mirrored))
    assert not torch.allclose(whereabouts(images.flip(mirrored)), whereabouts(images).flip(mirrored))


def test_horizontal_is_the_mean_of_two() -> None:
    images = random_images(2, 6, 8)
    mirrored = whereabouts(images.flip(-1)).flip(-1)
    expected = (whereabouts(images).softmax(1) + mirrored.softmax(1)) / 2
    torch.testing.assert_close(segment_flipped(whereabouts, images, "horizontal").exp(), expected)


@pytest.mark.parametrize(("flips", "calls"), [("none", 1), ("horizontal", 2), ("both", 4)])
def test_every_view_is_segmented_once(flips: str, calls: int) -> None:
    seen = []

    def network(images: Tensor) -> Tensor:
        seen.append(images)
        return images

    segment_flipped(network, random_images(1), flips)
    assert len(seen) == calls == len({view.numpy().tobytes() for view in seen})
    assert list(FLIPS) == ["none", "horizontal", "both"]


def test_without_flips_it_is_the_network_s_own() -> None:
    images = random_images(2, 6, 8)
    assert torch.equal(segment_flipped(whereabouts, images, "none"), whereabouts(images))


@pytest.mark.parametrize(
    ("shots", "count", "kept"), [(5, 5, 4), (5, 1, 4), (5, 6, 3), (5, 10, 3), (2, 2, 1), (15, 8, 14), (4, 6, 2)]
)
def test_subsets_are_different_and_as_large_as_they_can_be(shots: int, count: int, kept: int) -> None:
    subsets = support_subsets(shots, count)
    assert subsets.shape == (count, kept)
    assert len({tuple(subset) for subset in subsets.tolist()}) == count
    assert all(len(set(subset)) == kept and set(subset) < set(range(shots)) for subset in subsets.tolist())
    assert torch.equal(support_subsets(shots, count), subsets)


def test_as_many_subsets_as_shots_leave_out_each_shot_once() -> None:
    left_out = [set(range(7)) - set(subset) for subset in support_subsets(7, 7).tolist()]
    assert sorted(shot for shots in left_out for shot in shots) == list(range(7))


@pytest.mark.parametrize("shots", [2, 5])
def test_more_subsets_than_there_are_are_refused(shots: int) -> None:
    most = comb(shots, shots // 2)
    assert len(support_subsets(shots, most)) == most
    with pytest.raises(OptionError, match=f"expected 0 to {most} subsets of {shots} shots; found {most + 1}"):
        support_subsets(shots, most + 1)


def test_one_shot_has_no_subsets() -> None:
    with pytest.raises(OptionError, match="with one shot there is nothing to leave out"):
        support_subsets(1, 1)
