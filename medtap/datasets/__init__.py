"""A folder, a file or a CSV -> cases, by the layouts that datasets are published in."""

from __future__ import annotations

from pathlib import Path

from medtap.datasets.cases import Case, CaseList
from medtap.datasets.chest_xray import CHEST_XRAY
from medtap.datasets.csv_list import find_listed
from medtap.datasets.decathlon import DECATHLON
from medtap.datasets.folder import FOLDER
from medtap.datasets.isic import ISIC2017, ISIC2018
from medtap.datasets.layout import Layout
from medtap.options import refuse_unknown_choice

__all__ = ["LAYOUTS", "Case", "CaseList", "Layout", "find_cases"]

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        FOLDER,
        ISIC2017,
        ISIC2018,
        CHEST_XRAY,
        DECATHLON,
    )
}


def find_cases(images: str | Path, masks: str | Path | None = None, *, layout: str | None = None) -> CaseList:
    """Cases of a folder (read recursively), of one file, or of a CSV with columns image and mask.

    Args:
        images: folder, image or CSV; the root of a published dataset where the layout is named or certain.
        masks: folder of the masks, or one mask; None for images to be predicted.
        layout: a name in `LAYOUTS`; None takes a published layout where folder names make it certain.

    Returns:
        Cases sorted by name. Where masks were given, images without one are in ``skipped``.

    Raises:
        OptionError: an unknown layout.
        InputError: no image, no mask that fits, more than one that does, or a data list that leads out of its folder.
    """
    images, masks = Path(images), None if masks is None else Path(masks)
    if layout is not None:
        refuse_unknown_choice("unknown layout", layout, LAYOUTS)
    if images.suffix.lower() == ".csv":
        return find_listed(images)
    return (LAYOUTS[layout] if layout is not None else _detected(images, masks)).find(images, masks)


def _detected(images: Path, masks: Path | None) -> Layout:
    """The layout that the folder of images tells by its name or, of a whole dataset, one of its folders."""
    images = images.absolute()
    inside = [folder for folder in images.iterdir() if folder.is_dir()] if masks is None and images.is_dir() else []
    fitting = [layout for layout in LAYOUTS.values() if any(map(layout.fits, [images, *inside]))]
    return fitting[0] if len(fitting) == 1 else FOLDER
