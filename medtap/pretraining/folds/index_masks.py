"""Photographs whose masks are PNGs of class indices, as of PASCAL VOC and of COCO-20i's published copies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medtap.errors import InputError
from medtap.pretraining.folds.pictures import Picture, read_pixels

_UNLABELLED = (0, 255)  # background, and the borders of objects that VOC leaves open


@dataclass(frozen=True)
class IndexMask:
    """A PNG whose values, or palette indices, are labels.

    Attributes:
        path: of the file.
    """

    path: Path

    def mask(self, label: int) -> np.ndarray:
        """Where the photograph shows a class: bool [H,W]. Borders that VOC leaves open count as background."""
        return self.labels() == label

    def labels(self) -> np.ndarray:
        """The label of every pixel, [H,W].

        Raises:
            InputError: the file is missing, or holds colours.
        """
        labels = read_pixels(self.path)
        if labels.ndim != 2:
            raise InputError("a mask of colours", file=self.path, expected="a PNG of class indices")
        return labels

    def areas(self) -> dict[int, int]:
        """By label, how many pixels show that class."""
        found, counts = np.unique(self.labels(), return_counts=True)
        areas = zip(found.tolist(), counts.tolist(), strict=True)
        return {label: count for label, count in areas if label not in _UNLABELLED}


def read_pascal(folder: Path, subset: str) -> list[Picture]:
    """PASCAL VOC, with or without the masks of SBD.

    Args:
        folder: holds ``JPEGImages``, ``ImageSets/Segmentation`` and ``SegmentationClass``, or in its place
            ``SegmentationClassAug``.
        subset: names a list of ``ImageSets/Segmentation``, a picture a line: its stem, or paths to it.

    Raises:
        InputError: the list is missing, or a mask that it names is.
    """
    listed = folder / "ImageSets" / "Segmentation" / f"{subset}.txt"
    if not listed.is_file():
        raise InputError("no list of the photographs to train on", file=listed, expected="a stem a line")
    stems = [Path(line.split()[0]).stem for line in listed.read_text().splitlines() if line.strip()]
    augmented = folder / "SegmentationClassAug"
    masks = augmented if augmented.is_dir() else folder / "SegmentationClass"
    return _paired(((folder / "JPEGImages" / f"{stem}.jpg") for stem in dict.fromkeys(stems)), masks)


def read_coco_masks(images: Path, masks: Path) -> list[Picture]:
    """COCO with a PNG for each photograph, of labels 1 to 80 in the order of the category ids.

    Args:
        images: folder of photographs.
        masks: folder of PNGs of the same stems; photographs without one are left out.

    Raises:
        InputError: a photograph is missing.
    """
    return _paired((images / f"{mask.stem}.jpg" for mask in sorted(masks.glob("*.png"))), masks)


def _paired(images: Iterable[Path], masks: Path) -> list[Picture]:
    return [_picture(image, IndexMask(masks / f"{image.stem}.png")) for image in images]


def _picture(image: Path, mask: IndexMask) -> Picture:
    for path in (image, mask.path):
        if not path.is_file():
            raise InputError("a photograph or its mask is missing", file=path)
    return Picture(image, mask.areas(), mask)
