"""A folder as a bundle's data list."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import overload

from medtap.datasets import CaseList, find_cases
from medtap.workflows.stream import Item, case_items


class FolderCases(Sequence[Item]):
    """The cases of a folder, looked for when first needed, so that a config can be parsed before there is any data.

    Args:
        images: a folder (read recursively), a file or a CSV.
        masks: folder or file of their masks, for an evaluation.
        layout: how the folder is laid out, where that is not plain.
    """

    def __init__(self, images: str | Path, masks: str | Path | None = None, layout: str | None = None) -> None:
        self.images, self.layout = Path(str(images)), layout
        self.masks = None if masks is None else Path(str(masks))

    @property
    def folders(self) -> list[Path]:
        """What is read."""
        return [self.images] if self.masks is None else [self.images, self.masks]

    @cached_property
    def cases(self) -> CaseList:
        """What the layout finds.

        Raises:
            MedtapError: as ``find_cases``.
        """
        return find_cases(self.images, self.masks, layout=self.layout)

    @cached_property
    def items(self) -> list[Item]:
        """MONAI data dictionaries of the cases.

        Raises:
            MedtapError: as ``find_cases``; or there is no case, which MONAI's engines pass over in silence.
        """
        return case_items(self.cases, self.images)

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...

    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        return self.items[index]
