"""Layout: how a published dataset lays out its files. A new one is a file here and a line in the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from medtap.datasets.cases import CaseList

Finder = Callable[[Path, Path | None], CaseList]
"""Cases of (folder of images, folder of masks or None)."""


@dataclass(frozen=True)
class Layout:
    """One published way of laying out images and masks.

    Args:
        name: what ``--layout`` calls it.
        find: gives the cases.
        fits: whether a folder of images is certainly laid out so; never, for layouts to be named.
    """

    name: str
    find: Finder
    fits: Callable[[Path], bool] = lambda _: False


def folders_below(images: Path, masks: Path | None, pairs: list[tuple[str, str]]) -> tuple[Path, Path | None]:
    """The folders of images and masks of a dataset's root, by the patterns of their names; others as they are."""
    for image_pattern, mask_pattern in pairs:
        image_folders, mask_folders = sorted(images.glob(image_pattern)), sorted(images.glob(mask_pattern))
        if image_folders:
            return image_folders[0], masks or (mask_folders[0] if mask_folders else None)
    return images, masks
