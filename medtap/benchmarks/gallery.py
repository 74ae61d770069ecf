"""The pictures of a data set that episodes are made of, each file read once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from medtap.data import plane_transforms, planes_of, read_labels, read_scan, resize_images, resize_masks, scan_tensor
from medtap.data.planes import axis_codes
from medtap.data.readers import split_suffix
from medtap.data.scan import voxel_sizes
from medtap.datasets import Case, find_cases
from medtap.episode_sampler import Picture
from medtap.episodes import SMALLEST_FOREGROUND
from medtap.errors import InputError
from medtap.support import SupportSet, SupportSource

_VOLUMES = (".nii", ".nii.gz")


@dataclass(frozen=True)
class Reading:
    """How a data set is read.

    Attributes:
        root: its folder.
        layout: a name in `medtap.datasets.LAYOUTS`; None takes one where folder names make it certain.
        classes: names of labels 1 to N; None takes the layout's.
        by_group: whether the layout's groups (diagnoses) are the classes, each with the one label of its masks.
        mask_threshold: see `medtap.data.read_labels`.
        axis: axial, coronal or sagittal planes of volumes.
        score_size: side of the squares that images are scored on; None scores on their own grid alone.
    """

    root: Path
    layout: str | None = None
    classes: tuple[str, ...] | None = None
    by_group: bool = False
    mask_threshold: float | None = None
    axis: str = "axial"
    score_size: int | None = 400


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture as read.

    Attributes:
        image: [3,H,W] in [0,1] on its own grid.
        labels: [H,W] uint8 on the image's grid.
        square: [S,S] uint8, the nearest pixels of the mask as stored; None where only the own grid is scored.
        spacing_mm: of the own grid, along H and W; None where unknown.
    """

    image: Tensor
    labels: Tensor
    square: Tensor | None
    spacing_mm: tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class _Planes:
    """Images [C,H,W,P] and labels [H,W,P] of a volume or, with P = 1, of an image."""

    images: Tensor
    labels: Tensor
    square: Tensor | None
    spacing_mm: tuple[float, float] | None


class Gallery:
    """The annotated pictures below a folder.

    Args:
        reading: how they are read.

    Attributes:
        pictures: the images, and the planes of volumes with at least 1 % foreground.
        classes: names of labels 1 to N.

    Raises:
        InputError: no image with a mask, unnamed labels, or an image of no group where groups are the classes.
        OptionError: an unknown layout or axis.
    """

    def __init__(self, reading: Reading) -> None:
        axis_codes(reading.axis)
        found = find_cases(reading.root, layout=reading.layout)
        classes = reading.classes or found.classes
        if classes is None:
            raise InputError(
                "labels without names", file=reading.root, remedy="name the `classes` in the configuration"
            )
        self.reading, self.classes = reading, tuple(classes)
        self._planes: dict[str, _Planes] = {}
        self._cases = {self._name(case): case for case in found.cases if case.mask is not None}
        if not self._cases:
            raise InputError("no image with a mask", file=reading.root, expected="folders named as the layout does")
        self.pictures = tuple(picture for name in self._cases for picture in self._pictures(name))

    @property
    def empty(self) -> tuple[Picture, ...]:
        """The planes of volumes without any foreground."""
        volumes = (self._planes_where(name, lambda share: share == 0) for name in self._cases if _is_volume(name))
        return tuple(chain.from_iterable(volumes))

    def sample(self, picture: Picture) -> Sample:
        """Read a picture, or remember it."""
        planes = self._read(picture.file)
        index = picture.plane or 0
        image = planes.images[..., index].expand(3, -1, -1)
        return Sample(image, planes.labels[..., index], planes.square, planes.spacing_mm)

    def classes_of(self, group: str) -> tuple[str, ...]:
        """Names of labels 1 to N in episodes of a group."""
        return (group,) if self.reading.by_group else self.classes

    def support_set(self, pictures: Sequence[Picture], size: int, lacking: Sequence[Picture] = ()) -> SupportSet:
        """K pictures, and others that show nothing, at a side of ``size`` pixels."""
        labels = [self.sample(picture).labels[None] for picture in pictures]
        return SupportSet.from_tensors(
            self._images(pictures, size),
            torch.cat([resize_masks(label, size) for label in labels]),
            self.classes_of(pictures[0].group),
            sources=_sources(pictures),
            axis=self.reading.axis,
            lacking=self._images(lacking, size) if lacking else None,
            lacking_sources=_sources(lacking),
        )

    def _images(self, pictures: Sequence[Picture], size: int) -> Tensor:
        return torch.cat([resize_images(self.sample(picture).image[None], size) for picture in pictures])

    def _name(self, case: Case) -> str:
        return case.image.relative_to(self.reading.root).as_posix()

    def _pictures(self, name: str) -> list[Picture]:
        if not _is_volume(name):
            return [Picture(name, self._group(self._cases[name]))]
        return self._planes_where(name, lambda share: share >= SMALLEST_FOREGROUND)

    def _planes_where(self, name: str, holds: Callable[[np.ndarray], np.ndarray]) -> list[Picture]:
        """The planes of a volume of whose shares of foreground [P] something holds."""
        labels, group = self._read(name).labels.numpy(), self._group(self._cases[name])
        planes = np.flatnonzero(holds((labels > 0).mean(axis=(0, 1))))
        seen = [(int(plane), frozenset(np.unique(labels[..., plane]).tolist()) - {0}) for plane in planes]
        return [Picture(name, group, plane, present) for plane, present in seen]

    def _group(self, case: Case) -> str:
        if not self.reading.by_group:
            return ", ".join(self.classes)
        if case.group is None:
            raise InputError("an image of unknown class", file=case.image, remedy="put the table of classes beside it")
        return case.group

    def _read(self, name: str) -> _Planes:
        if name not in self._planes:
            self._planes[name] = self._planes_of(self._cases[name])
        return self._planes[name]

    def _planes_of(self, case: Case) -> _Planes:
        scan, axis = read_scan(case.sources), self.reading.axis
        images = plane_transforms(axis)({"image": scan_tensor(scan)})["image"]
        options: dict[str, Any] = {"threshold": self.reading.mask_threshold, "classes": self.classes}
        mask = cast("Path", case.mask)
        labels = planes_of(read_labels(mask, scan, resize=case.resize_mask, **options), scan.geometry, axis)
        if labels.ndim == 3:
            known = scan.geometry.spacing_mm is not None
            height, width = voxel_sizes(np.asarray(images.affine))[:2].tolist()
            spacing = (height, width) if known else None
            return _Planes(images.as_tensor(), torch.from_numpy(labels.copy()), None, spacing)
        own = read_labels(mask, read_scan(mask), **options) if case.resize_mask else labels
        return _Planes(images.as_tensor()[..., None], torch.from_numpy(labels)[..., None], self._square(own), None)

    def _square(self, labels: np.ndarray) -> Tensor | None:
        size = self.reading.score_size
        return None if size is None else resize_masks(torch.from_numpy(labels)[None], size)[0]


def _is_volume(name: str) -> bool:
    return split_suffix(Path(name))[1] in _VOLUMES


def _sources(pictures: Sequence[Picture]) -> list[SupportSource]:
    return [SupportSource(picture.file, picture.plane) for picture in pictures]
