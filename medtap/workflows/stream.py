"""Cases one after another: one that cannot be read is recorded, and the run goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.data import IterableDataset

from medtap.datasets import CaseList
from medtap.errors import InputError, medtap_cause

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

    Args:
        cases: what a layout found.
        folder: where they were looked for, for the message.

    Raises:
        InputError: there is no case, which a MONAI engine would pass over in silence.
    """
    if not cases.cases:
        raise InputError("there is nothing to segment", file=folder, remedy="name a folder with images")
    return [
        {"name": case.name, "image": str(case.image), "resize_mask": case.resize_mask}
        | ({} if case.mask is None else {"label": str(case.mask)})
        for case in cases.cases
    ]


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

    def attempt(self, work: Callable[[Item], Item], item: Item) -> Item | None:
        """Do something with a case; its result, or None when it failed and was recorded."""
        try:
            return work(item)
        except Exception as error:
            cause = medtap_cause(error)
            if cause is None:
                raise
            self.failures.append(Failure(str(item["name"]), Path(str(item.get("image", ""))), str(cause)))
            return None
