"""Random looks for label maps."""

from __future__ import annotations

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Generator

from medtap.pretraining.appearance import blur, deform, paint
from medtap.pretraining.scenes import lesion
from medtap.pretraining.synthetic import generated_task


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def test_no_strength_leaves_labels_alone() -> None:
    labels, _ = lesion(3, 48, seeded())
    assert torch.equal(deform(labels, 0.0, seeded()), labels)


def test_deformed_labels_are_labels_and_differ_in_each_picture() -> None:
    labels, _ = lesion(1, 48, seeded())
    moved = deform(labels.expand(4, -1, -1), 1.0, seeded())
    assert moved.dtype == torch.int64
    assert set(moved.unique().tolist()) <= set(labels.unique().tolist())
    assert not torch.equal(moved[0], moved[1])


@pytest.mark.parametrize("size", [32, 45])
def test_looks_are_images_in_range(size: int) -> None:
    for seed in range(30):
        labels, target = lesion(2, size, seeded(seed))
        images = paint(labels, target, seeded(seed))
        assert images.shape == (2, 3, size, size)
        assert images.dtype == torch.float32
        assert images.isfinite().all()
        assert images.min() >= 0
        assert images.max() <= 1


def test_looks_are_seeded_and_leave_global_chance_alone() -> None:
    labels, target = lesion(2, 32, seeded())
    state = torch.get_rng_state()
    first, again, other = (paint(labels, target, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_grey_and_colour_both_come() -> None:
    labels, target = lesion(1, 32, seeded())
    spread = [paint(labels, target, seeded(seed)).std(1).mean() for seed in range(30)]
    assert min(spread) < 0.02 < 0.05 < max(spread)


@pytest.mark.parametrize("sigma", [0.5, 1.5, 3.0])
def test_blur_equals_scipy_s(sigma: float) -> None:
    images = torch.rand((1, 2, 32, 40), generator=seeded())
    reach = max(1, round(2.5 * sigma))
    expected = gaussian_filter(
        images.double().numpy(), (0, 0, sigma, sigma), mode="nearest", radius=(0, 0, reach, reach)
    )
    torch.testing.assert_close(blur(images, sigma).double(), torch.from_numpy(expected), atol=1e-6, rtol=1e-5)


def test_generated_tasks_show_their_class_in_every_picture() -> None:
    for seed in range(10):
        images, masks = generated_task(3, 32, seeded(seed))
        assert images.shape == (3, 3, 32, 32)
        assert set(masks.unique().tolist()) == {0.0, 1.0}
        share = masks.mean((1, 2))
        assert (share > 0.004).all()
        assert (share < 0.95).all()
