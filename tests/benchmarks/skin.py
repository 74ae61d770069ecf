"""A small data set in the layout of ISIC 2017: squares of 32 px, masks of 48 x 64 px, three diagnoses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

DIAGNOSES = {"melanoma": "1.0,0.0", "nevus": "0.0,0.0", "seborrheic_keratosis": "0.0,1.0"}


def write_skin(root: Path, each: int) -> Path:
    """Write ``each`` images of every diagnosis: bright discs on noise, about the middle of the picture."""
    images, masks = root / "ISIC-2017_Training_Data", root / "ISIC-2017_Training_Part1_GroundTruth"
    for folder in (images, masks):
        folder.mkdir(parents=True)
    random, lines = np.random.default_rng(0), ["image_id,melanoma,seborrheic_keratosis"]
    for index in range(3 * each):
        flags, name = list(DIAGNOSES.values())[index % 3], f"ISIC_{index:07}"
        centre, radius = random.uniform(0.4, 0.6, 2), random.uniform(0.15, 0.3)
        pixels = random.integers(0, 90, (32, 32, 3)) + 120 * _disc(32, 32, centre, radius)[..., None]
        Image.fromarray(pixels.astype(np.uint8)).save(images / f"{name}.jpg")
        mask = _disc(48, 64, centre, radius).astype(np.uint8) * 255
        Image.fromarray(mask).save(masks / f"{name}_segmentation.png")
        lines.append(f"{name},{flags}")
    (root / "ISIC-2017_Training_Part3_GroundTruth.csv").write_text("\n".join(lines) + "\n")
    return root


def _disc(height: int, width: int, centre: np.ndarray, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return ((rows + 0.5) / height - centre[0]) ** 2 + ((columns + 0.5) / width - centre[1]) ** 2 <= radius**2
