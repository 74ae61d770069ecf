"""Support sets drawn from annotated cases by a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np
import torch

from medtap.data import Scan, plane_transforms, planes_of, read_labels, read_scan, scan_tensor
from medtap.data.planes import axis_codes
from medtap.data.resize import resize_images, resize_masks
from medtap.datasets import Case, CaseList
from medtap.errors import OptionError, SupportError
from medtap.support import SupportSet, SupportSource

__all__ = ["SupportSet", "SupportSource", "draw_support"]

SMALLEST_FOREGROUND = 0.01
"""Share of a volume's plane that must be foreground for the plane to be drawn."""


@dataclass(frozen=True)
class _Reading:
    """How one draw reads its cases; ``names`` are those of the classes, where known.

    With ``lacking``, images may show no class, and are then no shots.
    """

    seed: int
    size: int
    axis: str
    threshold: float | None
    names: tuple[str, ...] | None
    lacking: bool

    @property
    def count(self) -> int | None:
        """Number of classes, where known."""
        return None if self.names is None else len(self.names)


@dataclass(frozen=True, eq=False)
class _Pair:
    """A candidate: image [3, S, S] in [0, 1] and labels [S, S]."""

    image: torch.Tensor
    labels: torch.Tensor
    source: SupportSource

    @property
    def present(self) -> set[int]:
        return set(self.labels.unique().tolist()) - {0}


_Planes: TypeAlias = Callable[[np.ndarray, np.random.Generator, _Reading], list[int | None]]


def draw_support(
    cases: CaseList,
    *,
    shots: int,
    seed: int,
    size: int,
    axis: str = "axial",
    mask_threshold: float | None = None,
    classes: Sequence[str] | None = None,
    lacking: int = 0,
) -> SupportSet:
    """Draw K pairs: images, or planes of at least 1 % foreground from K different volumes as far as there are.

    And pictures that show no class, where they are asked for: images of an empty mask, or planes without foreground, in
    the same order of cases.

    The seed alone decides the order in which cases are taken. A pair is exchanged for a later one only where a
    class would otherwise be in no mask. Files are read one after another, no more of them than needed, and again for
    planes without foreground.

    Args:
        cases: cases, of which those with masks are drawn from.
        shots: number of pairs K.
        seed: of the draw.
        size: side S in pixels that images (bilinear, antialiased) and masks (nearest) are brought to.
        axis: axial, coronal or sagittal planes of volumes.
        mask_threshold: see `medtap.data.read_labels`.
        classes: names of the labels 1 to N; the layout's where None, and made up where it has none.
        lacking: number of pictures that show no class. Without any, an image of an empty mask is refused.

    Raises:
        SupportError: no shot asked for, fewer pairs than shots, an empty mask, a class that no mask holds, or fewer
            pictures without a class than asked for.
        InputError: an image or mask that cannot be read right.
        OptionError: an unknown axis, a negative seed or no size.
    """
    axis_codes(axis)
    annotated = [case for case in cases.cases if case.mask is not None]
    _check_request(shots, lacking, seed, size, len(annotated))
    names = tuple(classes) if classes is not None else cases.classes
    reading = _Reading(seed, size, axis, mask_threshold, names, lacking > 0)
    chosen = _choose(_candidates(annotated, reading, _eligible), shots, reading.count)
    others = _take(_candidates(annotated, reading, _empty), lacking)
    masks = torch.stack([pair.labels for pair in chosen])
    return SupportSet.from_tensors(
        torch.stack([pair.image for pair in chosen]),
        masks,
        names or _made_up_names(int(masks.max())),
        sources=[pair.source for pair in chosen],
        axis=axis,
        lacking=torch.stack([pair.image for pair in others]) if others else None,
        lacking_sources=[pair.source for pair in others],
    )


def _check_request(shots: int, lacking: int, seed: int, size: int, available: int) -> None:
    if shots < 1:
        raise SupportError("a support set of no pair", expected="--shots of at least 1", found=str(shots))
    if lacking < 0:
        raise SupportError("fewer pictures without a class than none", expected="--lacking of 0 or more")
    if seed < 0 or size < 1:
        raise OptionError("a seed or size that cannot be", expected="0 or more, 1 or more", found=f"{seed}, {size}")
    if available == 0:
        raise SupportError("no image with a mask to learn from", expected="--support-masks that fit the images")


def _candidates(cases: Sequence[Case], reading: _Reading, chosen: _Planes) -> Iterator[_Pair]:
    """Pairs in the order of drawing: one of every case, then a second plane of every volume, and so on."""
    later: list[tuple[Case, list[int | None]]] = []
    for index in np.random.default_rng(reading.seed).permutation(len(cases)):
        case = cases[index]
        scan, labels = _read(case, reading)
        planes = chosen(labels, np.random.default_rng([reading.seed, int(index)]), reading)
        if planes:
            later.append((case, planes[1:]))
            yield _pair(case, scan, labels, planes[0], reading)
    while later := [(case, planes) for case, planes in later if planes]:
        for case, planes in later:
            yield _pair(case, *_read(case, reading), planes.pop(0), reading)


def _read(case: Case, reading: _Reading) -> tuple[Scan, np.ndarray]:
    """The scan, and its labels as planes [H, W] or [H, W, planes]."""
    scan = read_scan(case.sources)
    labels = read_labels(
        cast("Path", case.mask), scan, threshold=reading.threshold, resize=case.resize_mask, classes=reading.names
    )  # fmt: skip
    return scan, planes_of(labels, scan.geometry, reading.axis)


def _eligible(labels: np.ndarray, random: np.random.Generator, reading: _Reading) -> list[int | None]:
    """Planes with enough foreground, shuffled; None stands for an image, whose mask is checked when it is chosen."""
    if labels.ndim == 2:
        return [None] if labels.any() or not reading.lacking else []
    share = (labels > 0).mean(axis=(0, 1))
    return [int(plane) for plane in random.permutation(np.flatnonzero(share >= SMALLEST_FOREGROUND))]


def _empty(labels: np.ndarray, random: np.random.Generator, _: _Reading) -> list[int | None]:
    """Planes without foreground, shuffled; None stands for an image."""
    if labels.ndim == 2:
        return [] if labels.any() else [None]
    return [int(plane) for plane in random.permutation(np.flatnonzero(~(labels > 0).any(axis=(0, 1))))]


def _take(candidates: Iterator[_Pair], count: int) -> list[_Pair]:
    """The first so many pictures without a class."""
    found = list(islice(candidates, count))
    if len(found) < count:
        raise SupportError(
            "fewer pictures without a class than asked for",
            expected=f"{count} images of empty masks, or planes without foreground",
            found=str(len(found)),
            remedy=f"--lacking {len(found)}, or give more" if found else "leave out --lacking, or give such",
        )
    return found


def _pair(case: Case, scan: Scan, labels: np.ndarray, plane: int | None, reading: _Reading) -> _Pair:
    image = plane_transforms(reading.axis)({"image": scan_tensor(scan)})["image"].as_tensor()
    if plane is not None:
        image, labels = image[..., plane].expand(3, -1, -1), labels[..., plane]
    mask = torch.from_numpy(np.ascontiguousarray(labels)).long()
    return _Pair(
        resize_images(image[None], reading.size)[0],
        resize_masks(mask[None], reading.size)[0],
        SupportSource(case.name, plane, sha256_of(case.sources)),
    )


def sha256_of(files: Sequence[Path]) -> str:
    """Hash by which a query that is in the support set is known: of a file's bytes, or over those of a series."""
    digests = []
    for path in files:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()


def _choose(candidates: Iterator[_Pair], shots: int, count: int | None) -> list[_Pair]:
    """The first K candidates, exchanged from the last on for later ones that bring a missing class."""
    chosen: list[_Pair] = []
    for pair in candidates:
        if len(chosen) < shots:
            _check_foreground(pair)
            chosen.append(pair)
        else:
            chosen = _exchanged(chosen, pair)
        if len(chosen) == shots and not _missing(chosen, count):
            return chosen
    if len(chosen) < shots:
        raise SupportError(
            "fewer pairs than shots",
            expected=f"{shots} images with masks, or planes with at least {SMALLEST_FOREGROUND:.0%} foreground",
            found=str(len(chosen)),
            remedy=f"give more, or --shots {len(chosen)}" if chosen else "give masks with more foreground",
        )
    raise SupportError(
        "a class that no mask holds, or more classes than the shots can show",
        expected=f"each of {count or max(_covered(chosen))} classes in one of {shots} masks",
        found=f"no mask for label {', '.join(str(label) for label in sorted(_missing(chosen, count)))}",
        remedy="give more --shots, or name only the classes that there are with --classes",
    )


def _check_foreground(pair: _Pair) -> None:
    if not pair.present:
        raise SupportError(
            f"an empty mask in the support set: {pair.source.name}",
            expected="foreground in every mask",
            found=f"none at {pair.labels.shape[-1]} x {pair.labels.shape[-1]} pixels",
            remedy="leave this image out or draw with another --seed; --lacking learns from images without foreground",
        )


def _covered(pairs: Sequence[_Pair]) -> set[int]:
    return set().union(*(pair.present for pair in pairs))


def _missing(chosen: Sequence[_Pair], count: int | None) -> set[int]:
    covered = _covered(chosen)
    return set(range(1, (count or max(covered)) + 1)) - covered


def _exchanged(chosen: list[_Pair], pair: _Pair) -> list[_Pair]:
    for place in reversed(range(len(chosen))):
        trial = [*chosen[:place], pair, *chosen[place + 1 :]]
        if len(_covered(trial)) > len(_covered(chosen)):
            return trial
    return chosen


def _made_up_names(count: int) -> tuple[str, ...]:
    return ("foreground",) if count == 1 else tuple(f"class{label}" for label in range(1, count + 1))
