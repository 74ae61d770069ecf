"""Scenes of thin structures, layers, cells and polyps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from scipy import ndimage
from torch import Generator, Tensor

from medtap.pretraining.appearance import blur as convolved
from medtap.pretraining.camera import acquire, blur, field_of_view, ground
from medtap.pretraining.cells import cells
from medtap.pretraining.curves import Growth, tree_depth
from medtap.pretraining.endoscopy import polyps
from medtap.pretraining.layers import layers
from medtap.pretraining.structures import small_objects, thin_structures
from medtap.pretraining.synthetic import Task
from medtap.pretraining.thin import angiogram, cracks, fibres, retina, wires

Scene = Callable[[int, int, Generator], Task]
FAMILIES = (thin_structures, small_objects)
SCENES = (retina, angiogram, fibres, cracks, wires, layers, cells, polyps)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def contrast(image: Tensor, mask: Tensor) -> float:
    """Difference of mean light within a mask and just outside it, over the light's deviation there."""
    inside = mask.bool().numpy()
    ring = torch.from_numpy(ndimage.binary_dilation(inside, iterations=4) & ~ndimage.binary_dilation(inside))
    light = image.mean(0)
    return float((light[mask.bool()].mean() - light[ring].mean()).abs() / light[ring].std())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("n", "size"), [(1, 96), (3, 101), (2, 256)])
def test_pictures_and_masks_keep_the_contract(family: Scene, n: int, size: int) -> None:
    for seed in range(4):
        images, masks = family(n, size, seeded(seed))
        assert images.shape == (n, 3, size, size)
        assert masks.shape == (n, size, size)
        assert images.dtype == masks.dtype == torch.float32
        assert images.min() >= 0
        assert images.max() <= 1
        assert set(masks.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_generator_is_the_only_source_of_chance(family: Scene) -> None:
    state = torch.get_rng_state()
    one, other, unlike = (family(2, 96, seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])
    assert not torch.equal(one[0], unlike[0])
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("scene", SCENES)
def test_the_target_is_seen_and_told_from_its_surroundings(scene: Scene) -> None:
    fair, seen = [], []
    for seed in range(8):
        images, masks = scene(3, 96, seeded(seed))
        shares = masks.mean((1, 2))
        fair.append(bool((shares > 0.004).all() & (shares < 0.95).all()))
        seen += [contrast(*pair) for pair in zip(images, masks, strict=True) if 0.004 < pair[1].mean() < 0.9]
    assert sum(fair) >= 6
    assert torch.tensor(seen).median() > 0.3


def test_a_straight_curve_is_as_wide_as_asked() -> None:
    growth = Growth(roots=1, generations=0, width=0.05, taper=1.0, length=3.0, wind=0.0, spread=0.0)
    depth = tree_depth(torch.tensor([[[0.5, -0.5]]]), torch.zeros(1, 1), growth, 200, seeded())
    widths = (depth[0] > 0).sum(0)
    assert (widths - widths[0]).abs().max() <= 1
    assert 2 * 0.6 * 0.05 * 200 - 2 <= float(widths[0]) <= 2 * 1.2 * 0.05 * 200 + 2
    assert abs(int(depth[0].sum(1).argmax()) - 100) <= 1


def test_curves_outside_of_the_picture_leave_it_empty() -> None:
    growth = Growth(roots=2, generations=1, width=0.01, taper=0.7, length=0.2, wind=0.1, spread=0.3)
    depth = tree_depth(torch.full((2, 2, 2), 5.0), torch.zeros(2, 2), growth, 64, seeded())
    assert (depth < 0).all()


def test_more_generations_cover_more() -> None:
    start, heading = torch.full((3, 2, 2), 0.5), torch.tensor([[0.0, 3.0]]).repeat(3, 1)
    few, many = (
        (tree_depth(start, heading, Growth(2, count, 0.01, 0.8, 0.2, 0.3, 0.6), 128, seeded()) > 0).sum()
        for count in (0, 3)
    )
    assert many > 2 * few


@pytest.mark.parametrize("sigma", [0.4, 1.5, 4.0])
def test_blur_is_the_convolution(sigma: float) -> None:
    images = torch.rand((2, 3, 40, 40), generator=seeded())
    torch.testing.assert_close(blur(images, sigma), convolved(images, sigma))


def test_ground_has_unit_deviation_and_finer_scales_for_a_flat_slope() -> None:
    coarse, fine = (ground(8, 96, seeded(), slope) for slope in (1.5, 0.2))
    assert 0.4 < float(coarse.std()) < 1.6
    assert 0.4 < float(fine.std()) < 1.6
    assert fine.diff(dim=-1).square().mean() > 2 * coarse.diff(dim=-1).square().mean()


def test_field_of_view_is_brightest_in_the_middle() -> None:
    field = field_of_view(6, 64, seeded(1))
    assert (field[:, 0, 32, 32] >= field[:, 0, 0, 0]).all()
    assert field.min() >= 0
    assert field.max() <= 1


def test_a_device_exposes_each_picture_in_its_own_way() -> None:
    taken = acquire(torch.full((4, 3, 32, 32), 0.5), seeded())
    assert taken.mean((1, 2, 3)).std() > 0.01
