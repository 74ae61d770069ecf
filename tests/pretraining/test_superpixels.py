"""Episodes of photographs' regions without annotation, and of shapes filled with photographs."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from medtap.pretraining.natural import NaturalEpisodes
from medtap.pretraining.superpixels import SuperpixelEpisodes, textured_task
from medtap.pretraining.views import ViewSampler


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def photograph(tone: int) -> Tensor:
    """A dark field [3,90,120] with a bright disc to the left and a grey square to the right, a little noise on it."""
    y, x = torch.meshgrid(torch.arange(90), torch.arange(120), indexing="ij")
    picture = torch.full((90, 120), 20)
    picture[(y - 45) ** 2 + (x - 35) ** 2 < 22**2] = 220
    picture[30:65, 75:105] = tone
    noise = torch.randint(-6, 7, (3, 90, 120), generator=seeded(tone))
    return (picture + noise).clamp(0, 255).to(torch.uint8)


@pytest.fixture(scope="module")
def photographs() -> NaturalEpisodes:
    images = tuple(photograph(tone) for tone in (90, 120, 150))
    return NaturalEpisodes(images, tuple(image[0] for image in images), {})


@pytest.mark.parametrize(("n", "size"), [(1, 96), (3, 101), (2, 256)])
def test_pictures_and_masks_keep_the_contract(photographs: NaturalEpisodes, n: int, size: int) -> None:
    for seed in range(5):
        for images, masks in (
            SuperpixelEpisodes.of(photographs).task(n, size, seeded(seed)),
            textured_task(photographs, n, size, seeded(seed)),
        ):
            assert images.shape == (n, 3, size, size)
            assert masks.shape == (n, size, size)
            assert images.dtype == masks.dtype == torch.float32
            assert images.min() >= 0
            assert images.max() <= 1
            assert set(masks.unique().tolist()) <= {0.0, 1.0}


def test_the_generator_is_the_only_source_of_chance(photographs: NaturalEpisodes) -> None:
    state = torch.get_rng_state()
    for draw in (
        lambda seed: SuperpixelEpisodes.of(photographs).task(2, 64, seeded(seed)),
        lambda seed: textured_task(photographs, 2, 64, seeded(seed)),
    ):
        one, other, unlike = (draw(seed) for seed in (5, 5, 6))
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
        assert not torch.equal(one[0], unlike[0])
    assert torch.equal(state, torch.get_rng_state())


def test_nearly_every_view_shows_its_region(photographs: NaturalEpisodes) -> None:
    episodes = SuperpixelEpisodes.of(photographs)
    shares = torch.stack([episodes.task(4, 64, seeded(seed))[1].mean((1, 2)) for seed in range(30)])
    assert float(((shares > 0.004) & (shares < 0.95)).all(1).float().mean()) > 0.93


def test_outlines_lie_on_the_photograph_s_edges(photographs: NaturalEpisodes) -> None:
    sharper = []
    for seed in range(20):
        images, masks = SuperpixelEpisodes.of(photographs).task(3, 96, seeded(seed))
        slope = images.mean(1).diff(dim=-1).abs()
        outline = masks.diff(dim=-1) != 0
        if outline.any():
            sharper.append(float(slope[outline].mean() / slope[~outline].mean()))
    assert torch.tensor(sharper).median() > 3


def test_views_of_one_task_differ(photographs: NaturalEpisodes) -> None:
    for seed in range(10):
        _, masks = SuperpixelEpisodes.of(photographs).task(2, 64, seeded(seed))
        assert (masks[0] != masks[1]).any()


def test_a_view_without_turn_and_wobble_is_a_crop() -> None:
    region = torch.zeros(40, 60)
    region[:, 30:] = 1
    sampler = ViewSampler(region, torch.zeros(1, 2), turn=0.0, nearest=0.5, mirrored=False, wobble=0.0)
    grids, masks = sampler.draw(8, 32, seeded())
    assert grids.shape == (8, 32, 32, 2)
    assert torch.allclose(grids[:, :, 0, 0], grids[:, :1, 0, 0].expand(-1, 32), atol=1e-5)
    inside = (grids[..., 0] > 0) & (grids[..., 0] < 1)
    assert (masks[inside] == 1).float().mean() > 0.97


def test_textures_tell_labels_apart(photographs: NaturalEpisodes) -> None:
    differences = []
    for seed in range(12):
        images, masks = textured_task(photographs, 2, 64, seeded(seed))
        inside, outside = (
            (images * where[:, None]).sum((2, 3)) / where.sum((1, 2))[:, None] for where in (masks, 1 - masks)
        )
        differences.append(float((inside - outside).abs().mean()))
    assert torch.tensor(differences).median() > 0.05
