"""Cases one after another: one that cannot be read is recorded, and the run goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.data import IterableDataset, MetaTensor

from medtap.datasets import Case, CaseList
from medtap.errors import InputError, MedtapError, medtap_cause

Item = dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """A case that failed.

    Attributes:
        case: its name.
        file: the image it was about.
        reason: what was expected, what was found, what to do.
    """

    case: str
    file: Path
    reason: str


def case_items(cases: CaseList, folder: str | Path | None = None) -> list[Item]:
    """MONAI data dictionaries of cases: ``image``, ``name`` and, where there is a mask, ``label``.

    ``image`` is a path, or for a DICOM series the list of its files.

    Args:
        cases: what a layout found.
        folder: where they were looked for, for the message.

    Raises:
        InputError: there is no case, which a MONAI engine would pass over in silence.
    """
    if not cases.cases:
        raise InputError("there is nothing to segment", file=folder, remedy="name a folder with images")
    return [
        {"name": case.name, "image": _image(case), "resize_mask": case.resize_mask}
        | ({} if case.mask is None else {"label": str(case.mask)})
        for case in cases.cases
    ]


def _image(case: Case) -> str | list[str]:
    return [str(file) for file in case.files] if case.files else str(case.image)


class CaseStream(IterableDataset):
    """A dataset of cases that skips and records those that medtap refuses to read.

    Args:
        data: data dictionaries with ``name`` and ``image``.
        transform: from paths to tensors; its MedtapErrors fail a case, any other error ends the run.
        failures: where failures are appended; a list of its own when None.
    """

    def __init__(
        self, data: Sequence[Item], transform: Callable[[Item], Item], failures: list[Failure] | None = None
    ) -> None:
        super().__init__(data)
        self.load = transform
        self.failures = [] if failures is None else failures

    def __iter__(self) -> Iterator[Item]:
        for item in self.data:
            loaded = self.attempt(self.load, dict(item))
            if loaded is not None:
                yield loaded

    def attempt(self, work: Callable[[Item], Any], item: Item, errors: type[MedtapError] = MedtapError) -> Any | None:
        """Do something with a case; its result, or None when it failed by such an error and was recorded."""
        try:
            return work(item)
        except Exception as error:
            cause = medtap_cause(error)
            if not isinstance(cause, errors):
                raise
            self.failures.append(Failure(str(item["name"]), _file(item.get("image", ""), cause), str(cause)))
            return None


def _file(image: Any, cause: MedtapError) -> Path:
    """The image of a case that failed: of a series, the file or folder that the error is about."""
    if isinstance(image, MetaTensor):
        image = image.meta["filename_or_obj"]
    return Path(image) if isinstance(image, str) else cause.file or Path(image[0])
