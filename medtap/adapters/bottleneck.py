"""Bottleneck adapters in parallel (Chen et al., AdaptFormer, NeurIPS 2022): a narrow network beside each MLP."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from medtap.adapters.adapter import Adapter
from medtap.adapters.branches import AttachedBranches, Branch, width_of
from medtap.adapters.orchestration import Orchestration
from medtap.adapters.parameters import draw_kaiming
from medtap.adapters.targets import choose_targets
from medtap.errors import OptionError


@dataclass(frozen=True)
class ParallelAdapter(Adapter):
    """Bottlenecks of width V beside an encoder's blocks: mlp(x) + up(dropout(ReLU(down(LN x)))).

    Attributes:
        width: V, from 1.
        dropout: share of the V channels dropped in training.
        targets: which blocks, see ``choose_blocks``.
    """

    width: int = 16
    dropout: float = 0.1
    targets: str = "auto"
    name = "adapter"

    def __post_init__(self) -> None:
        wrong = [
            text
            for text, right in (
                (f"a width of at least 1, not {self.width}", self.width >= 1),
                (f"a dropout in [0, 1), not {self.dropout}", 0 <= self.dropout < 1),
            )
            if not right
        ]
        if wrong:
            raise OptionError("an adapter cannot have these numbers", expected="; ".join(wrong))

    def attach(self, encoder: nn.Module) -> AttachedBranches:
        """Attach in place beside the encoder's blocks."""
        blocks = choose_blocks(encoder, self.targets)
        with torch.device("meta"):
            beside = {
                f"{name}.bottleneck": Bottleneck(width_of(encoder.get_submodule(name)), self.width, self.dropout)
                for name in blocks
            }
        return AttachedBranches(encoder, beside, what="adapter's values")


class Bottleneck(Branch):
    """LayerNorm, down to a few channels, ReLU, dropout, and up again.

    Args:
        channels: that the block takes and gives.
        width: V.
        dropout: after the ReLU.
        inner: scales and mixes the V channels before the ReLU, see COBOT.
    """

    def __init__(
        self, channels: tuple[int, int], width: int, dropout: float, inner: Orchestration | None = None
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels[0])
        self.down = nn.Linear(channels[0], width)
        self.inner = inner
        self.dropout = nn.Dropout(dropout)
        self.up = nn.Linear(width, channels[1])

    def reset(self, generator: Generator) -> None:
        """Down: Kaiming uniform with a = sqrt 5; up and biases: zero; LayerNorm: as it starts."""
        self.norm.reset_parameters()
        draw_kaiming(self.down.weight, generator)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            zero.zero_()
        if self.inner is not None:
            self.inner.reset(generator)

    def forward(self, inputs: Tensor) -> Tensor:
        """up(dropout(ReLU(inner(down(LN x)))))."""
        narrow = self.down(self.norm(inputs))
        if self.inner is not None:
            narrow = self.inner(narrow)
        return self.up(self.dropout(narrow.relu()))

    def settle(self) -> None:
        """Take the inner layer into the way down, as it is linear."""
        if self.inner is not None:
            matrix = self.inner.matrix()
            self.down.weight = nn.Parameter(matrix.T @ self.down.weight)
            self.down.bias = nn.Parameter(self.down.bias @ matrix)
            self.inner = None


def choose_blocks(encoder: nn.Module, targets: str) -> list[str]:
    """Names of the blocks of an encoder that bottlenecks go beside.

    Args:
        encoder: of any kind.
        targets: with ``auto``, every MLP of a transformer (a module of the name ``mlp``); where there is none, as in
            ConvNeXt and ResNet, and with any other choice, each layer that ``choose_targets`` gives is a block.

    Raises:
        OptionError: as ``choose_targets``.
    """
    mlps = [name for name, part in encoder.named_modules() if _is_mlp(name, part)]
    return mlps if mlps and targets == "auto" else choose_targets(encoder, targets)


def _is_mlp(name: str, part: nn.Module) -> bool:
    """Whether a part is an MLP that a branch can be added to; an nn.Sequential would run it as one of its layers."""
    linear = any(isinstance(layer, nn.Linear) for layer in part.modules())
    return name.rpartition(".")[2] == "mlp" and linear and not isinstance(part, nn.Sequential)
