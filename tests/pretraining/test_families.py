"""Families of tasks by name."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from medtap.errors import OptionError
from medtap.pretraining.families import SCENES, build_families, draw_task, pick_family
from medtap.pretraining.natural import NaturalEpisodes


def photographs() -> NaturalEpisodes:
    """Six photographs of a light square."""
    image = torch.zeros((3, 48, 48), dtype=torch.uint8)
    image[:, 12:36, 12:36] = 200
    return NaturalEpisodes((image,) * 6, ((image[0] > 0).byte(),) * 6, {1: tuple(range(6))})


@pytest.mark.parametrize("name", [*SCENES, "natural", "superpixels", "textured"])
def test_every_family_gives_tasks_of_the_shapes_asked_for(name: str) -> None:
    family = build_families({name}, photographs())[name]
    images, masks = draw_task(family, 3, 96, Generator().manual_seed(1))
    assert images.shape == (3, 3, 96, 96)
    assert masks.shape == (3, 96, 96)
    assert images.min() >= 0
    assert images.max() <= 1
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    again = draw_task(family, 3, 96, Generator().manual_seed(1))
    assert torch.equal(images, again[0])
    assert torch.equal(masks, again[1])


def test_tasks_whose_class_is_hardly_seen_are_drawn_again() -> None:
    shares = iter([0.0, 1.0, 0.5])

    def family(n: int, size: int, _: Generator) -> tuple[Tensor, Tensor]:
        masks = torch.zeros((n, size, size))
        masks[:, : int(next(shares) * size)] = 1
        return torch.zeros((n, 3, size, size)), masks

    _, masks = draw_task(family, 2, 8, Generator())
    assert masks.mean() == 0.5


def test_mix_is_drawn_by_weight() -> None:
    mix = {"a": 1.0, "b": 0.0, "c": 3.0}
    draws = [pick_family(mix, index / 100) for index in range(100)]
    assert {name: draws.count(name) for name in mix} == {"a": 25, "b": 0, "c": 75}
    assert pick_family(mix, 1.0) == "c"


def test_unknown_and_impossible_families_are_refused() -> None:
    with pytest.raises(OptionError, match=r"unknown option 'genrated' \(did you mean 'generated'\?\)"):
        build_families({"genrated"}, None)
    with pytest.raises(OptionError, match="tasks of natural need photographs"):
        build_families({"natural", "generated"}, None)
    with pytest.raises(OptionError, match=r"tasks of fold need a fold; expected `folds\.folder`"):
        build_families({"fold"}, None)
