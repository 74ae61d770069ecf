"""What a pool keeps of an adapted network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from medtap.adapters.stacked_lora import Factors
from medtap.networks.segmenter import Memory
from medtap.presence import Presence, evidence, without_absent


@dataclass(frozen=True, eq=False)
class Resident:
    """An adapted network without its base.

    Attributes:
        factors: of its LoRA, alpha / r multiplied in, in float16 where that holds them.
        memory: its digested support set, each [N,K,...], likewise.
        size: side in pixels of the images it was adapted on.
        presence: how to tell that a picture shows a class, of each; empty where every picture is taken to.
    """

    factors: Mapping[str, Factors]
    memory: Memory
    size: int
    presence: Sequence[Presence] = ()

    @property
    def layout(self) -> object:
        """What residents must have in common to share a forward."""
        shapes = [(layer, down.shape, up.shape) for layer, (down, up) in self.factors.items()]
        return self.size, tuple(shapes), tuple(kept.shape for kept in self.memory)

    def shown(self, logits: Tensor) -> Tensor:
        """Logits [N+1,H,W] of a picture without the classes that it does not show."""
        if not self.presence:
            return logits
        seen = evidence(logits[None], [each.area for each in self.presence])
        return without_absent(logits[None], seen, self.presence)[0]

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors."""
        return sum(tensor.nbytes for tensor in (*self.memory, *(one for pair in self.factors.values() for one in pair)))
