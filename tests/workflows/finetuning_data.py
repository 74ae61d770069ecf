"""Generated images and a tiny SAM on the disk, for trainings of a few seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from medtap.networks import save_network
from tests.networks.tiny_sam import tiny_sam


def write_spots(folder: Path, count: int = 8, classes: int = 1) -> tuple[Path, Path]:
    """Bright discs on noise (40 x 60), a disc a class, and masks of labels; the folders of images and of masks."""
    images, masks = folder / "images", folder / "masks"
    images.mkdir(parents=True)
    masks.mkdir()
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:40, :60]
    for index in range(count):
        labels = np.zeros((40, 60), np.uint8)
        for label in range(1, classes + 1):
            row, column = random.uniform(12, 28), random.uniform(12, 48)
            labels[(rows - row) ** 2 + (columns - column) ** 2 < 64] = label
        pixels = random.integers(0, 60, (40, 60, 3)) + (180 // classes) * labels[..., None]
        Image.fromarray(pixels.astype(np.uint8)).save(images / f"case{index}.png")
        Image.fromarray(labels).save(masks / f"case{index}_segmentation.png")
    return images, masks


def write_sam(folder: Path, classes: int = 0) -> Path:
    """The tiny SAM as the zoo keeps networks."""
    network = tiny_sam(classes)
    save_network(network, folder, {"build": network.build}, dtype=torch.float32)
    return folder
