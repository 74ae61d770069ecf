"""Episodes of the few-shot protocol: K support pictures and a query, drawn by a seed and written to a manifest."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import chain, count, zip_longest
from pathlib import PurePath
from typing import Any

import numpy as np

from medtap.errors import OptionError, SupportError

_ATTEMPTS = 200  # at a support set that shows every class


@dataclass(frozen=True)
class Picture:
    """An annotated image, or a plane of a volume, that episodes may be made of.

    Args:
        file: its image, relative to the data's folder, with slashes.
        group: the class whose episodes it serves in.
        plane: index along the axis, in the order of `medtap.data.planes_of`; None for an image.
        labels: the labels that its mask shows.
    """

    file: str
    group: str
    plane: int | None = None
    labels: frozenset[int] = frozenset({1})

    def as_json(self) -> dict[str, Any]:
        """File and plane."""
        return {"file": self.file, "plane": self.plane}


@dataclass(frozen=True)
class Episode:
    """One query and the K pictures that it is segmented by.

    Args:
        group: the class.
        draw: number of the support set within its class; episodes of one draw have one support set.
        support: K pictures.
        query: a picture of another file than those.
        lacking: planes of the support's volumes that show nothing, for methods that learn from such too.
    """

    group: str
    draw: int
    support: tuple[Picture, ...]
    query: Picture
    lacking: tuple[Picture, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """What a manifest tells of it."""
        support = [picture.as_json() for picture in self.support]
        told = {"class": self.group, "draw": self.draw, "support": support, "query": self.query.as_json()}
        return told | {"lacking": [picture.as_json() for picture in self.lacking]} if self.lacking else told


@dataclass(frozen=True)
class EpisodeSampler:
    """Draws episodes by the cross-domain few-shot protocol (PATNet, Lei et al., ECCV 2022).

    The class of an episode is its index modulo the number of classes. Support and queries are drawn without
    replacement, and no query is of a file that gave a support picture. A draw of support serves several consecutive
    episodes of its class. A longer list of episodes begins with the shorter one.

    Args:
        pictures: what is drawn from.
        shots: K images; or K volumes, where each gives several planes.
        queries_per_support: episodes that share one support set, as far as there are so many other pictures.
        seed: of every draw.
        support: pattern of the names of files that support is drawn from.
        queries: pattern of the names of files that queries are drawn from.
        planes: support planes of each volume drawn, spread evenly over those that may be drawn; with 1 it is any.
        empty: planes that show nothing.
        lacking: so many of them come with each support set, of its volumes, each of another one as far as there are.

    Raises:
        OptionError: a number that cannot be.
    """

    pictures: tuple[Picture, ...]
    shots: int
    queries_per_support: int = 10
    seed: int = 0
    support: str = "*"
    queries: str = "*"
    planes: int = 1
    empty: tuple[Picture, ...] = ()
    lacking: int = 0

    def __post_init__(self) -> None:
        if min(self.shots, self.queries_per_support, self.planes, self.seed + 1) < 1:
            found = f"{self.shots} shots of {self.planes} planes, {self.queries_per_support} queries, seed {self.seed}"
            raise OptionError("episodes that cannot be drawn", expected="1 or more, seed 0 or more", found=found)

    @property
    def groups(self) -> tuple[str, ...]:
        """The classes, sorted."""
        return tuple(sorted({picture.group for picture in self.pictures}))

    def draw(self, episodes: int) -> tuple[Episode, ...]:
        """Draw episodes.

        Raises:
            SupportError: too few pictures for a support set and a query, none that show every class, or too few that
                show nothing.
        """
        endless = [self._of_group(number, group) for number, group in enumerate(self.groups)]
        return tuple(next(endless[index % len(endless)]) for index in range(episodes))

    def _of_group(self, number: int, group: str) -> Iterator[Episode]:
        pool = [picture for picture in self.pictures if picture.group == group]
        return chain.from_iterable(self._of_draw(number, group, draw, pool) for draw in count())

    def _of_draw(self, number: int, group: str, draw: int, pool: Sequence[Picture]) -> list[Episode]:
        """The episodes of one support set."""
        random = np.random.default_rng([self.seed, number, draw])
        support = self._support(group, [picture for picture in pool if _named(picture, self.support)], random)
        used = {picture.file for picture in support}
        left = [picture for picture in pool if _named(picture, self.queries) and picture.file not in used]
        if not left:
            raise SupportError(
                f"no picture of {group} is left to be a query", remedy="give more images or fewer --shots"
            )
        queries = spread(left, random)[: self.queries_per_support]
        lacking = self._lacking(used, np.random.default_rng([self.seed, number, draw, 1]))
        return [Episode(group, draw, support, query, lacking) for query in queries]

    def _support(self, group: str, pool: Sequence[Picture], random: np.random.Generator) -> tuple[Picture, ...]:
        """K pictures of different files as far as there are, drawn again until every label of the class is seen."""
        available = len(pool) if self.planes == 1 else len({picture.file for picture in pool})
        if available < self.shots:
            raise SupportError(
                f"too few {'pictures' if self.planes == 1 else 'volumes'} of {group} for a support set",
                expected=f"{self.shots}", found=str(available), remedy="give more images or fewer --shots",
            )  # fmt: skip
        labels = _labels(pool)
        for _ in range(_ATTEMPTS):
            chosen = self._planes(spread(pool, random)[: self.shots], pool)
            if _labels(chosen) == labels:
                return chosen
        raise SupportError(f"no {self.shots} pictures show every label of {group}", remedy="give more --shots")

    def _lacking(self, files: set[str], random: np.random.Generator) -> tuple[Picture, ...]:
        """Planes of these volumes that show nothing."""
        found = spread([picture for picture in self.empty if picture.file in files], random)[: self.lacking]
        if len(found) < self.lacking:
            raise SupportError(
                "too few planes of a support set's volumes show nothing",
                expected=f"{self.lacking}", found=str(len(found)), remedy="ask for fewer (lacking_shots)",
            )  # fmt: skip
        return tuple(found)

    def _planes(self, chosen: Sequence[Picture], pool: Sequence[Picture]) -> tuple[Picture, ...]:
        """The pictures chosen or, of several planes a volume, planes spread evenly over those volumes' own."""
        if self.planes == 1:
            return tuple(chosen)
        volumes = [[picture for picture in pool if picture.file == one.file] for one in chosen]
        return tuple(chain.from_iterable(evenly(volume, self.planes) for volume in volumes))


def evenly(pictures: Sequence[Picture], count: int) -> list[Picture]:
    """So many pictures, or all if there are fewer: the middle ones of equal stretches."""
    count = min(count, len(pictures))
    return [pictures[(2 * part + 1) * len(pictures) // (2 * count)] for part in range(count)]


def spread(pictures: Sequence[Picture], random: np.random.Generator) -> list[Picture]:
    """Pictures in random order: one of every file, then a second one of every file that has one, and so on."""
    by_file: dict[str, list[Picture]] = defaultdict(list)
    for index in random.permutation(len(pictures)):
        by_file[pictures[index].file].append(pictures[index])
    files = sorted(by_file)
    turns = zip_longest(*(by_file[files[index]] for index in random.permutation(len(files))))
    return [picture for turn in turns for picture in turn if picture is not None]


def episodes_sha256(episodes: Sequence[Episode]) -> str:
    """Hash over what a manifest tells of the episodes."""
    told = json.dumps([episode.as_json() for episode in episodes], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def _named(picture: Picture, pattern: str) -> bool:
    return fnmatch(PurePath(picture.file).name, pattern)


def _labels(pictures: Sequence[Picture]) -> frozenset[int]:
    return frozenset[int]().union(*(picture.labels for picture in pictures))
