"""A bundle's model that is an adapter in a folder, as a training left it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from medtap.adapted import AdaptedSegmenter
from medtap.outputs import RunFolder
from medtap.record import AdaptationRecord
from medtap.support_shape import ClassShape


@dataclass(frozen=True)
class TrainedAdapter:
    """An adapter that `load_for` has put into the bundle's ``network_def``.

    Attributes:
        folder: that ``AdaptedSegmenter.save`` wrote.
        folders: where a support set was read from: nowhere.
    """

    folder: Path | str
    folders: tuple[Path, ...] = ()

    def identity(self, network_def: AdaptedSegmenter) -> dict[str, Any]:  # noqa: ARG002
        """What decides the outcome: the adapter's hash."""
        return {"adapter_sha256": self._record.adapter_sha256}

    @property
    def shots(self) -> int:
        """Number of support images K of its memory."""
        return self._record.shots

    @property
    def shapes(self) -> tuple[ClassShape, ...]:
        """Of labels 1 to N in the masks of its support set."""
        return self._record.shapes

    def fill(self, network_def: AdaptedSegmenter, run: RunFolder, device: torch.device) -> None:
        """Nothing: the network was loaded with the adapter."""

    def adapter_below(self, out: Path) -> Path:  # noqa: ARG002
        """The adapter's folder, which `medtap predict` takes too."""
        return Path(self.folder)

    @property
    def _record(self) -> AdaptationRecord:
        return AdaptationRecord.read(Path(self.folder))
