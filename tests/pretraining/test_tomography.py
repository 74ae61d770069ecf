"""Generated tomographic slices: their contract, and the anatomy that their masks promise."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Generator

from medtap.pretraining.synthetic import Task
from medtap.pretraining.tomography import body, body_slices, brain, brain_crops
from medtap.pretraining.tomography.atlas import body_points, bounds, organ_depth
from medtap.pretraining.tomography.hippocampus import draw_hippocampus
from medtap.pretraining.tomography.layouts import LAYOUTS, Organ
from medtap.pretraining.tomography.planes import draw_view
from medtap.pretraining.tomography.sonography import ultrasound
from medtap.pretraining.tomography.temporal_lobe import Label, draw_neighbours, temporal_lobe

Family = Callable[[int, int, Generator], Task]

FAMILIES = pytest.mark.parametrize("family", [brain_crops, body_slices])


def _generator(seed: int) -> Generator:
    return Generator().manual_seed(seed)


@FAMILIES
@pytest.mark.parametrize("size", [96, 130])
def test_pictures_and_masks_have_the_asked_shape_and_range(family: Family, size: int) -> None:
    images, masks = family(3, size, _generator(1))
    assert images.shape == (3, 3, size, size)
    assert masks.shape == (3, size, size)
    assert images.dtype == masks.dtype == torch.float32
    assert float(images.min()) >= 0
    assert float(images.max()) <= 1
    assert set(masks.unique().tolist()) == {0.0, 1.0}


@FAMILIES
def test_the_generator_is_the_only_source_of_chance(family: Family) -> None:
    first, again = family(2, 96, _generator(7)), family(2, 96, _generator(7))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], family(2, 96, _generator(8))[0])


@FAMILIES
def test_nearly_every_task_shows_its_class_in_each_picture(family: Family) -> None:
    shares = [family(2, 96, _generator(seed))[1].mean((1, 2)) for seed in range(12)]
    kept = sum(bool(((share >= 0.004) & (share <= 0.95)).all()) for share in shares)
    assert kept >= 10


@FAMILIES
def test_pictures_are_grey_and_patients_differ(family: Family) -> None:
    images, masks = family(2, 96, _generator(3))
    assert torch.equal(images[:, 0], images[:, 2])
    assert float(images.flatten(1).std(1).min()) > 0.02
    assert not torch.equal(masks[0], masks[1])


def test_the_two_parts_of_the_hippocampus_meet_at_the_cut() -> None:
    organ = draw_hippocampus(2, _generator(0))
    view = draw_view(2, 1, _generator(4))
    points, anterior = view.at(torch.zeros(2), 1)
    labels = temporal_lobe(points, anterior, organ, draw_neighbours(2, organ, _generator(1)))
    cut = organ.cut[:, None, None].expand_as(anterior)
    assert bool((labels == Label.HEAD).any())
    assert bool((anterior > cut)[labels == Label.HEAD].all())
    assert bool((anterior <= cut)[labels == Label.TAIL].all())


def test_the_parts_have_one_tone() -> None:
    tones = brain._tones(4, _generator(0))
    assert torch.equal(tones[:, Label.HEAD], tones[:, Label.TAIL])


def test_what_lies_inside_an_organ_is_found_through_its_parents() -> None:
    assert body.enclosed(1, [0, 0, 1, 2, 0]) == [1, 2, 3]
    assert body.enclosed(4, [0, 0, 1, 2, 0]) == [4]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bounds_hold_every_organ_whole(layout: tuple[Organ, ...]) -> None:
    points = body_points(2, 96, layout, _generator(5))
    for organ in layout[::4]:
        rows, columns = bounds(points, organ)
        depth = organ_depth(points, organ, _generator(6)) > 0
        assert int(depth.sum()) == int(depth[:, rows, columns].sum())


def test_nothing_outside_the_ultrasound_field_is_target(monkeypatch: pytest.MonkeyPatch) -> None:
    left = torch.arange(96) < 48
    monkeypatch.setattr(body, "_MODALITIES", (ultrasound,))
    monkeypatch.setattr(body, "fan", lambda grid, _: left[:grid].expand(grid, grid))
    monkeypatch.setattr(body, "chance", lambda *_: False)
    _, masks = body_slices(2, 96, _generator(2))
    assert bool(masks.any())
    assert not bool(masks[..., 48:].any())


@FAMILIES
def test_the_last_pictures_lack_the_class_and_the_others_show_it(family: Callable[..., Task]) -> None:
    shares = torch.stack([family(5, 96, _generator(seed), 2)[1].mean((1, 2)) for seed in range(12)])
    assert float((shares[:, :3] > 0.004).float().mean()) > 0.9
    assert float((shares[:, 3:] == 0).float().mean()) > 0.8


def test_what_encloses_an_organ_takes_its_place() -> None:
    assert body._filler([2, 3], [0, 0, 1, 2, 0]).tolist() == [0, 1, 1, 1, 4]
    assert body._filler([1], [0, 0, 1, 2, 0]).tolist() == [0, 0, 2, 3, 4]
