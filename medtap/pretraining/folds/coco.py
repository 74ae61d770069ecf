"""Photographs of COCO, their masks drawn from the published JSON of polygons and runs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medtap.datasets.paths import path_below
from medtap.errors import InputError
from medtap.pretraining.folds.index_masks import read_coco_masks
from medtap.pretraining.folds.pictures import Picture
from medtap.pretraining.folds.segments import Segment, read_segments


@dataclass(frozen=True)
class DrawnMasks:
    """The objects of one photograph, drawn when they are asked for.

    Attributes:
        shape: H and W.
        segments: by label, the parts of that class's objects, crowds of them included.
    """

    shape: tuple[int, int]
    segments: Mapping[int, Sequence[Segment]]

    def mask(self, label: int) -> np.ndarray:
        """Where the photograph shows a class: bool [H,W]."""
        mask = np.zeros(self.shape, bool)
        for segment in self.segments.get(label, ()):
            segment.fill(mask)
        return mask


def read_coco(folder: Path, subset: str) -> list[Picture]:
    """COCO, with index masks where they are there, else with its JSON.

    Args:
        folder: holds the photographs in a folder named as the subset, and ``annotations`` with a folder of PNGs of that
            name or with ``instances_SUBSET.json``.
        subset: such as ``train2014``.

    Raises:
        InputError: annotations are missing or damaged, or a photograph is missing.
    """
    masks = folder / "annotations" / subset
    if masks.is_dir():
        return read_coco_masks(folder / subset, masks)
    return read_instances(folder / subset, folder / "annotations" / f"instances_{subset}.json")


def read_instances(images: Path, annotations: Path) -> list[Picture]:
    """The photographs of a JSON of COCO that show an object; labels are 1 to N in the order of its category ids.

    Args:
        images: folder of photographs.
        annotations: the JSON file.

    Raises:
        InputError: the JSON is missing or damaged, or a photograph is missing.
    """
    try:
        told = json.loads(annotations.read_text(encoding="utf-8"))
        return _pictures(told, images, annotations)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "no annotations of COCO can be read",
            file=annotations,
            expected="images, categories, and annotations with segmentation and area",
            found="no file" if not annotations.is_file() else "a damaged or foreign one",
        ) from error


def _pictures(told: Mapping[str, Any], images: Path, source: Path) -> list[Picture]:
    ids = sorted(category["id"] for category in told["categories"])
    labels = {category: label for label, category in enumerate(ids, start=1)}
    objects: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for annotation in told["annotations"]:
        objects[annotation["image_id"]].append(annotation)
    shown = sorted((row for row in told["images"] if row["id"] in objects), key=lambda row: str(row["file_name"]))
    return [_picture(row, objects[row["id"]], labels, images, source) for row in shown]


def _picture(
    row: Mapping[str, Any],
    objects: Sequence[Mapping[str, Any]],
    labels: Mapping[int, int],
    images: Path,
    source: Path,
) -> Picture:
    image = path_below(images, str(row["file_name"]), source)
    if not image.is_file():
        raise InputError("a photograph is missing", file=image)
    areas: dict[int, int] = defaultdict(int)
    segments: dict[int, list[Segment]] = defaultdict(list)
    for annotation in objects:
        label = labels[annotation["category_id"]]
        areas[label] += round(annotation["area"])
        segments[label] += read_segments(annotation["segmentation"])
    return Picture(image, dict(areas), DrawnMasks((row["height"], row["width"]), dict(segments)))
