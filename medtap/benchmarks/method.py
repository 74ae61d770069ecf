"""Method: what a benchmark of episodes compares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from medtap.networks.segmenter import resize_logits
from medtap.support import SupportSet


@dataclass(frozen=True)
class Learnt:
    """What a method made of a support set.

    Attributes:
        segment: from images [B,3,H,W] in [0,1] to logits [B,N+1,H,W] on the same grid.
        clean: what label maps [1,H,W] go through at the end.
        parameters: how many numbers were trained; None where the method does not tell.
        saved_bytes: size of the tensors that must be kept beside the base network's to segment alike, without the
            digested support set; None where the method does not tell.
    """

    segment: Callable[[Tensor], Tensor]
    clean: Sequence[Callable[[Tensor], Tensor]] = ()
    parameters: int | None = None
    saved_bytes: int | None = None

    def labels(self, logits: Tensor, shape: torch.Size | tuple[int, int]) -> np.ndarray:
        """Logits [1,N+1,H,W] to labels uint8 of a shape."""
        found = resize_logits(logits, shape).argmax(1).to(torch.uint8)
        for step in self.clean:
            found = step(found)
        return np.asarray(found)[0]


class Method(Protocol):
    """A way to segment queries like a support set."""

    @property
    def size(self) -> int:
        """Side in pixels of the support pictures that it learns from."""

    def learn(self, support: SupportSet) -> Learnt:
        """Learn from K pictures."""

    def describe(self) -> dict[str, Any]:
        """What decides its results, in words of JSON: options, and hashes of weights."""
