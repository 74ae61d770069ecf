"""Fixtures that several parts share: the real data, and small files of every kind."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from medtap.adaptation import TapOptions
from medtap.networks import zoo
from medtap.workflows import adapt
from tests.tiny import tiny_network


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data; tests that need it skip where it is absent."""
    root = Path(os.environ.get("MEDTAP_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"no real data at {root}: set MEDTAP_DATA")
    return root


@pytest.fixture
def disc() -> Callable[..., np.ndarray]:
    """A function (height, width, radius=0.3) -> bool [H, W], true in a centred ellipse."""

    def draw(height: int, width: int, radius: float = 0.3) -> np.ndarray:
        rows, columns = np.mgrid[:height, :width]
        return ((rows + 0.5) / height - 0.5) ** 2 + ((columns + 0.5) / width - 0.5) ** 2 <= radius**2

    return draw


@pytest.fixture
def lesions(tmp_path: Path, disc: Callable[..., np.ndarray]) -> tuple[Path, Path]:
    """Folders of six colour images (40 x 60) and of their masks, ``X.png`` and ``X_segmentation.png``."""
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    random = np.random.default_rng(0)
    for index in range(6):
        mask = disc(40, 60, 0.2 + 0.03 * index)
        pixels = random.integers(0, 90, (40, 60, 3)) + 120 * mask[..., None]
        Image.fromarray(pixels.astype(np.uint8)).save(images / f"case{index}.png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(masks / f"case{index}_segmentation.png")
    return images, masks


@pytest.fixture
def volumes(tmp_path: Path) -> tuple[Path, Path]:
    """Folders of three volumes (20 x 24 x 16, LPI, 2 x 1 x 3 mm) and of their masks with labels 1 and 2."""
    images, masks = tmp_path / "volumes", tmp_path / "labels"
    images.mkdir()
    masks.mkdir()
    random, affine = np.random.default_rng(1), np.diag([-2.0, -1.0, -3.0, 1.0])
    for index in range(3):
        labels = np.zeros((20, 24, 16), np.uint8)
        labels[4:10, 6:18, 4:12], labels[10:16, 6:18, 4:12] = 1, 2
        voxels = (random.normal(100, 10, labels.shape) + 60 * labels).astype(np.float32)
        nib.save(nib.Nifti1Image(voxels, affine), images / f"scan{index}.nii.gz")
        nib.save(nib.Nifti1Image(labels, affine), masks / f"scan{index}.nii.gz")
    return images, masks


@pytest.fixture
def tiny_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a tiny network of random weights, which the zoo can build while the test runs."""
    monkeypatch.setitem(zoo.BUILDERS, "tiny", tiny_network)
    zoo.save_network(tiny_network(), tmp_path / "tiny", {})
    return tmp_path / "tiny"


@pytest.fixture
def skin_adapter(lesions: tuple[Path, Path], tiny_folder: Path, tmp_path: Path) -> Path:
    """The folder of a tiny network adapted to two of the ``lesions``."""
    adapt(*lesions, tmp_path / "skin", network=str(tiny_folder), options=TapOptions(passes=2, guard="none"), shots=2)
    return tmp_path / "skin"


@pytest.fixture
def volume_adapter(volumes: tuple[Path, Path], tiny_folder: Path, tmp_path: Path) -> Path:
    """The folder of a tiny network adapted to one plane of one of the ``volumes``, two classes."""
    options, classes = TapOptions(passes=2, guard="none"), ("left", "right")
    adapt(*volumes, tmp_path / "organ", network=str(tiny_folder), options=options, shots=1, classes=classes)
    return tmp_path / "organ"
