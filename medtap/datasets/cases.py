"""Case and CaseList: what every layout turns a folder into."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One image, with its mask where there is one.

    Args:
        name: path of the image below its folder, with slashes and without suffix; names the outputs.
        image: the file of the image or volume, or the first one of a series.
        mask: the file of its mask.
        resize_mask: whether the layout republishes images at another size than their masks.
        group: what the layout knows the case by, such as a hospital or a diagnosis.
        files: the files of a DICOM series; empty for images of one file.
    """

    name: str
    image: Path
    mask: Path | None = None
    resize_mask: bool = False
    group: str | None = None
    files: tuple[Path, ...] = ()

    @property
    def sources(self) -> tuple[Path, ...]:
        """Every file that the image is made of."""
        return self.files or (self.image,)


@dataclass(frozen=True)
class CaseList:
    """The cases of a folder, sorted by name.

    Args:
        cases: the images, all with masks where masks were asked for.
        classes: names of the labels 1 to N, where the layout knows them.
        skipped: (file, reason) of what was left out.
        warnings: what a user should know.
    """

    cases: tuple[Case, ...]
    classes: tuple[str, ...] | None = None
    skipped: tuple[tuple[Path, str], ...] = ()
    warnings: tuple[str, ...] = ()
