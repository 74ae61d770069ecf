"""SAM-COBOT (Peng et al., CVPR 2024): bottlenecks beside an encoder's blocks, orchestrated across them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from medtap.adapters.adapter import Adapter
from medtap.adapters.bottleneck import Bottleneck, choose_blocks
from medtap.adapters.branches import AttachedBranches, Branch, FoldedBranches, width_of
from medtap.adapters.orchestration import Coefficients, Orchestration
from medtap.adapters.parameters import draw_kaiming
from medtap.adapters.targets import choose_targets
from medtap.errors import OptionError

WIDTHS = {"lora": 4, "adapter": 16}
_KEY = re.compile(r"(^|\.)(k_proj|key)$")
_WHAT = "COBOT values"
_MERGED = re.compile(r"(^|\.)qkv$")


@dataclass(frozen=True)
class Cobot(Adapter):
    """COBOT: bottlenecks whose channels all blocks of an encoder scale and mix together, see ``Orchestration``.

    With ``lora``, W x + B D [(A x) * (lambda + gamma)]; with ``adapter``, parallel to an MLP,
    mlp(x) + up(dropout(ReLU(D [down(LN x) * (lambda + gamma)]))). The up-projection starts at zero, so that the encoder
    starts unchanged; B of the paper's published code does not.

    Attributes:
        bottleneck: ``lora`` or ``adapter``.
        width: V, a multiple of 4; when None 4 of ``lora`` and 16 of ``adapter``, as in the paper.
        dropout: of ``adapter``, share of the V channels dropped in training.
        targets: which blocks, see ``choose_projections`` for ``lora`` and ``choose_blocks`` for ``adapter``.
    """

    bottleneck: str = "lora"
    width: int | None = None
    dropout: float = 0.1
    targets: str = "auto"
    name = "cobot"

    def __post_init__(self) -> None:
        known = self.bottleneck in WIDTHS
        width = WIDTHS.get(self.bottleneck) if self.width is None else self.width
        wrong = [
            text
            for text, right in (
                (f"a bottleneck of {' or '.join(WIDTHS)}, not {self.bottleneck!r}", known),
                (f"a width that is a multiple of 4, not {width}", width is None or (width >= 4 and width % 4 == 0)),
                (f"a dropout in [0, 1), not {self.dropout}", 0 <= self.dropout < 1),
            )
            if not right
        ]
        if wrong:
            raise OptionError("COBOT cannot have these numbers", expected="; ".join(wrong))

    def attach(self, encoder: nn.Module) -> AttachedBranches:
        """Attach in place beside the encoder's blocks."""
        width = self.width or WIDTHS[self.bottleneck]
        if self.bottleneck == "lora":
            return FoldedBranches(encoder, _low_ranks(encoder, self.targets, width), _WHAT)
        return AttachedBranches(encoder, _bottlenecks(encoder, self.targets, width, self.dropout), _WHAT)


class OrchestratedLora(Branch):
    """B D [(A x) * (lambda + gamma)] beside one layer.

    Args:
        channels: that the layer takes, and that the branch gives.
        width: V.
        inner: D and the coefficients of the block.
        around: channels of the layer before and after those that the branch changes.
    """

    def __init__(
        self, channels: tuple[int, int], width: int, inner: Orchestration, around: tuple[int, int] = (0, 0)
    ) -> None:
        super().__init__()
        self.around = around
        self.lora_A = nn.Linear(channels[0], width, bias=False)
        self.inner = inner
        self.lora_B = nn.Linear(width, channels[1], bias=False)

    def reset(self, generator: Generator) -> None:
        """A: Kaiming uniform with a = sqrt 5; B: zero; the coefficients as ``Orchestration``."""
        draw_kaiming(self.lora_A.weight, generator)
        self.inner.reset(generator)
        self.lora_B.weight.zero_()

    def forward(self, inputs: Tensor) -> Tensor:
        """From [...,C] to what is added, zero around the channels that are changed."""
        return F.pad(self.lora_B(self.inner(self.lora_A(inputs))), self.around)

    def folded(self, layer: nn.Module) -> dict[str, Tensor]:
        """The weight W + B D (lambda + gamma) A."""
        old = layer.get_parameter("weight")
        product = self.lora_B.weight @ self.inner.matrix().T @ self.lora_A.weight
        return {"weight": old + F.pad(product, (0, 0, *self.around)).view_as(old)}


def choose_projections(encoder: nn.Module, targets: str) -> list[tuple[str, str]]:
    """The blocks of an encoder that COBOT's LoRA changes, in the order of their layers.

    Args:
        encoder: of any kind.
        targets: as of ``choose_targets``; with ``auto`` and ``attention`` keys are left out, as in the paper. Each
            layer is a block, but a merged projection (``qkv``) is two.

    Returns:
        For each block the name of its layer and, of a merged projection, ``query`` or ``value``, else nothing.

    Raises:
        OptionError: as ``choose_targets``.
    """
    layers = choose_targets(encoder, targets)
    if targets in ("auto", "attention"):
        layers = [layer for layer in layers if not _KEY.search(layer)]
    return [(layer, part) for layer in layers for part in (("query", "value") if _MERGED.search(layer) else ("",))]


def _low_ranks(encoder: nn.Module, targets: str, width: int) -> dict[str, OrchestratedLora]:
    blocks = choose_projections(encoder, targets)
    with torch.device("meta"):
        shared = Coefficients(width, len(blocks))
        beside = {}
        for index, (layer, part) in enumerate(blocks):
            taken, given = width_of(encoder.get_submodule(layer))
            rows = given // 3 if part else given
            around = {"query": (0, given - rows), "value": (given - rows, 0), "": (0, 0)}[part]
            name = f"{layer}.cobot_{part}" if part else f"{layer}.cobot"
            beside[name] = OrchestratedLora((taken, rows), width, Orchestration(shared, index, width), around)
    return beside


def _bottlenecks(encoder: nn.Module, targets: str, width: int, dropout: float) -> dict[str, Bottleneck]:
    blocks = choose_blocks(encoder, targets)
    with torch.device("meta"):
        shared = Coefficients(width, len(blocks))
        return {
            f"{name}.cobot": Bottleneck(
                width_of(encoder.get_submodule(name)), width, dropout, Orchestration(shared, index, width)
            )
            for index, name in enumerate(blocks)
        }
