"""Families of tasks by name, which a recipe mixes.

A new one is a line in ``SCENES`` or ``PHOTOGRAPHIC``, and a name in ``LACKING`` where it can leave its class out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from torch import Generator

from medtap.errors import OptionError
from medtap.options import refuse_unknown
from medtap.pretraining.dermoscopy import dermoscopic_lesions
from medtap.pretraining.folds import FoldEpisodes
from medtap.pretraining.natural import NaturalEpisodes
from medtap.pretraining.radiograph import chest_radiographs
from medtap.pretraining.structures import small_objects, thin_structures
from medtap.pretraining.superpixels import SuperpixelEpisodes, textured_task
from medtap.pretraining.synthetic import Task, generated_task, is_fair
from medtap.pretraining.tomography import body_slices, brain_crops

Family = Callable[..., Task]
"""Draws n pictures of S x S pixels that show one class, with their masks, by a generator.

Those of ``LACKING`` take one more number: the last so many of the n pictures do not show the class.
"""

SCENES: dict[str, Family] = {
    "generated": generated_task,
    "radiographs": chest_radiographs,
    "dermoscopy": dermoscopic_lesions,
    "brain": brain_crops,
    "body": body_slices,
    "thin": thin_structures,
    "small": small_objects,
}
PHOTOGRAPHIC: dict[str, Callable[[NaturalEpisodes], Family]] = {
    "natural": lambda photographs: photographs.task,
    "superpixels": lambda photographs: SuperpixelEpisodes.of(photographs).task,
    "textured": lambda photographs: partial(textured_task, photographs),
}

FOLD = "fold"
LACKING = frozenset({"generated", "brain", "body", "natural", "textured"})
"""Families that can draw pictures without their class."""


def build_families(
    names: set[str], photographs: NaturalEpisodes | None, fold: FoldEpisodes | None = None
) -> dict[str, Family]:
    """Families by name, those of photographs over the ones given.

    Raises:
        OptionError: a name is unknown, or needs photographs and there are none.
    """
    refuse_unknown(names, [*SCENES, *PHOTOGRAPHIC, FOLD])
    photographic = sorted(names & PHOTOGRAPHIC.keys())
    if photographs is None and photographic:
        raise OptionError(
            f"tasks of {', '.join(photographic)} need photographs",
            expected="`natural.folder` in the recipe",
            remedy="name the folder, or leave these out of every `mix`",
        )
    if fold is None and FOLD in names:
        raise OptionError(
            f"tasks of {FOLD} need a fold",
            expected="`folds.folder` in the recipe",
            remedy="name the folder, or leave them out of every `mix`",
        )
    made: dict[str, Family] = {name: SCENES[name] for name in sorted(names & SCENES.keys())}
    if photographs is not None:
        made |= {name: PHOTOGRAPHIC[name](photographs) for name in photographic}
    if fold is not None and FOLD in names:
        made[FOLD] = fold.task
    return made


def draw_task(family: Family, n: int, size: int, generator: Generator, lacking: int = 0) -> Task:
    """Draw tasks of a family until the class fills a fair share of every picture, but for the last ``lacking``."""
    while True:
        images, masks = family(n, size, generator, lacking) if lacking else family(n, size, generator)
        if bool(is_fair(masks[: n - lacking]).all()):
            return images, masks


def lacking_in(name: str, wanted: int) -> int:
    """How many pictures without their class a family draws where so many are wanted: all of them, or none."""
    return wanted if name in LACKING else 0


def pick_family(mix: Mapping[str, float], draw: float) -> str:
    """The family in a mix of weights that a draw in [0,1) falls on."""
    level = draw * sum(mix.values())
    for name, weight in mix.items():
        if level < weight:
            return name
        level -= weight
    return next(reversed(list(mix)))
