"""Folders of Pascal and COCO small enough for tests: photographs of light squares, one class in each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 30, 40
ROWS, COLUMNS = slice(8, 20), slice(10, 26)
"""The square; its area is 192 pixels."""
AREA = 192


def square(label: int) -> np.ndarray:
    """An index mask [H,W]: the square, with one column of VOC's open border at its right."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[ROWS, COLUMNS] = label
    mask[ROWS, COLUMNS.stop] = 255
    return mask


def photograph(path: Path, label: int, seed: int) -> None:
    """Noise, brighter in the square the higher the label."""
    pixels = np.random.default_rng(seed).integers(0, 60, (HEIGHT, WIDTH, 3))
    pixels[ROWS, COLUMNS] += 60 + label
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path, quality=95)


def save_mask(path: Path, mask: np.ndarray) -> None:
    """An index mask with a palette, as VOC's are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(mask)
    picture.putpalette([(37 * index) % 256 for index in range(768)])
    picture.save(path)


def write_pascal(folder: Path, labels: Sequence[int], subset: str = "train") -> Path:
    """A picture of each label, listed in order."""
    for index, label in enumerate(labels):
        photograph(folder / "JPEGImages" / f"p_{index:02}.jpg", label, index)
        save_mask(folder / "SegmentationClass" / f"p_{index:02}.png", square(label))
    listed = folder / "ImageSets" / "Segmentation" / f"{subset}.txt"
    listed.parent.mkdir(parents=True)
    listed.write_text("".join(f"p_{index:02}\n" for index in range(len(labels))))
    return folder


def write_coco(folder: Path, labels: Sequence[int], subset: str = "train2014") -> Path:
    """A picture of each label 1 to 80, outlined in the published JSON; category ids have gaps, as COCO's."""
    for index, label in enumerate(labels):
        photograph(folder / subset / f"c_{index:02}.jpg", label, index)
    x, y = (COLUMNS.start, COLUMNS.stop), (ROWS.start, ROWS.stop)
    outline = [x[0], y[0], x[1], y[0], x[1], y[1], x[0], y[1]]
    told = {
        "categories": [{"id": category_id(label)} for label in reversed(range(1, 81))],
        "images": [
            {"id": index + 7, "file_name": f"c_{index:02}.jpg", "height": HEIGHT, "width": WIDTH}
            for index in range(len(labels))
        ],
        "annotations": [
            {"image_id": index + 7, "category_id": category_id(label), "segmentation": [outline], "area": float(AREA)}
            for index, label in enumerate(labels)
        ],
    }
    path = folder / "annotations" / f"instances_{subset}.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(told))
    return folder


def category_id(label: int) -> int:
    """The id of the category that is the label-th: every ninth id is missing."""
    return label + (label - 1) // 8
