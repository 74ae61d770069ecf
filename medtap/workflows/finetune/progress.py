"""How far a training has come: what a killed run goes on from, and the best adapter so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medtap.errors import WeightsError
from medtap.outputs import atomic_write


@dataclass
class Progress:
    """The state after an epoch.

    Attributes:
        epoch: epochs done.
        adapter: the adapter's values.
        optimiser: its state.
        schedule: the learning rate's.
        losses: the mean loss of each epoch.
        scores: the held-out Dice of each epoch.
        best: the adapter's values after the best epoch.
    """

    epoch: int = 0
    adapter: dict[str, Tensor] = field(default_factory=dict)
    optimiser: dict[str, Any] = field(default_factory=dict)
    schedule: dict[str, Any] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    @property
    def best_epoch(self) -> int:
        """The epoch of the highest score, the first of equals, counted from 1."""
        return 1 + max(range(len(self.scores)), key=self.scores.__getitem__)

    def save(self, path: Path) -> None:
        """Write all of it; a kill leaves what was there before.

        Raises:
            OutputError: the file cannot be written.
        """
        with atomic_write(path) as partial:
            torch.save(vars(self), partial)

    @classmethod
    def load(cls, path: Path) -> Progress:
        """Read what ``save`` wrote, on the CPU, tensors and plain values alone.

        Raises:
            WeightsError: the file is missing or damaged.
        """
        try:
            return cls(**torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:
            remedy = "start anew with --overwrite"
            raise WeightsError("the training cannot be gone on with", file=path, remedy=remedy) from error


def copied(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Values on the CPU that later training does not change."""
    return {name: value.detach().cpu().clone() for name, value in values.items()}
