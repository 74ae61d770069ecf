"""Generated dermoscopy: what a few-shot network may count on, and that the masks belong to the pictures."""

from __future__ import annotations

import pytest
import torch
from torch import Generator
from torch.nn import functional as F

from medtap.pretraining.dermoscopy import dermoscopic_lesions
from medtap.pretraining.dermoscopy.dermatoscope import compress


def seeded(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("size", [96, 100, 128, 320])
def test_gives_pictures_and_binary_masks(size: int) -> None:
    images, masks = dermoscopic_lesions(3, size, seeded(size))
    assert images.shape == (3, 3, size, size)
    assert masks.shape == (3, size, size)
    assert images.dtype == masks.dtype == torch.float32
    assert images.isfinite().all()
    assert images.min() >= 0
    assert images.max() <= 1
    assert set(masks.unique().tolist()) <= {0.0, 1.0}


def test_repeats_itself_and_follows_the_seed() -> None:
    first, again, other = (dermoscopic_lesions(2, 96, seeded(seed)) for seed in (7, 7, 8))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_leaves_the_global_source_of_chance_alone() -> None:
    before = torch.get_rng_state()
    dermoscopic_lesions(2, 96, seeded(3))
    assert torch.equal(before, torch.get_rng_state())


def test_foreground_is_of_all_sizes_and_rarely_out_of_range() -> None:
    share = torch.stack([dermoscopic_lesions(4, 96, seeded(seed))[1].mean((1, 2)) for seed in range(24)])
    good = ((share >= 0.004) & (share <= 0.95)).all(1)
    assert good.float().mean() >= 0.95
    assert share[good].min() < 0.05
    assert share[good].max() > 0.6


def test_masks_differ_in_colour_from_their_surroundings() -> None:
    contrasts = []
    for seed in range(10):
        images, masks = dermoscopic_lesions(4, 96, seeded(seed))
        within = masks[:, None]
        beside = F.max_pool2d(within, 15, 1, 7) - within
        inner, outer = ((images * area).sum((2, 3)) / area.sum((2, 3)).clamp(min=1) for area in (within, beside))
        contrasts.append((inner - outer).norm(dim=1))
    assert torch.cat(contrasts).median() > 0.1


def test_fine_compression_keeps_the_picture_and_coarse_compression_flattens_blocks() -> None:
    images = torch.rand((1, 3, 20, 20), generator=seeded(1))
    torch.testing.assert_close(compress(images, 1e-5), images, atol=1e-4, rtol=0)
    assert compress(images, 50.0)[..., :8, :8].std() < 1e-6
