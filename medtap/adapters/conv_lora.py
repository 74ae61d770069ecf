"""Conv-LoRA (Zhong et al., ICLR 2024): LoRA with convolutions of several scales inside, one chosen for each input."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from medtap.adapters.adapter import Adapter
from medtap.adapters.branches import AttachedBranches, Branch, width_of
from medtap.adapters.grids import TokenGrid, follow_grids, map_of_tokens, tokens_of_map
from medtap.adapters.low_rank import choose_low_rank
from medtap.adapters.parameters import draw_kaiming
from medtap.adapters.routing import TopGate
from medtap.errors import OptionError

GATES = ("paper", "differentiable")


@dataclass(frozen=True)
class ConvLora(Adapter):
    """Conv-LoRA of rank r with M experts: W x + (alpha / r) B (z + E(z)), z = A x on its grid (section 3.2).

    Attributes:
        rank: r, from 1.
        alpha: scale.
        experts: M; expert i works at i times the grid's height and width.
        dropout: share of inputs of A dropped in training.
        targets: which layers, see ``choose_targets``. Each is fed maps, or tokens whose grid the encoder tells, see
            `medtap.adapters.grids`.
        gate: the weight of the chosen expert, see ``TopGate``: 1 in ``paper``, with a gradient in ``differentiable``.
        balance: weight of the auxiliary loss, by which the experts are chosen about equally often.
    """

    rank: int = 3
    alpha: float = 32.0
    experts: int = 8
    dropout: float = 0.0
    targets: str = "auto"
    gate: str = "paper"
    balance: float = 0.01
    name = "conv_lora"

    def __post_init__(self) -> None:
        wrong = [
            text
            for text, right in (
                (f"a rank of at least 1, not {self.rank}", self.rank >= 1),
                (f"an alpha above 0, not {self.alpha}", self.alpha > 0),
                (f"at least 1 expert, not {self.experts}", self.experts >= 1),
                (f"a dropout in [0, 1), not {self.dropout}", 0 <= self.dropout < 1),
                (f"a gate of {' or '.join(GATES)}, not {self.gate!r}", self.gate in GATES),
                (f"a balance of at least 0, not {self.balance}", self.balance >= 0),
            )
            if not right
        ]
        if wrong:
            raise OptionError("Conv-LoRA cannot have these numbers", expected="; ".join(wrong))

    def attach(self, encoder: nn.Module) -> AttachedConvLora:
        """Attach in place to the encoder's target layers."""
        return AttachedConvLora(encoder, self)


class AttachedConvLora(AttachedBranches):
    """Conv-LoRA attached to an encoder. It cannot be merged into weights: ``merge`` freezes it where it is."""

    def __init__(self, encoder: nn.Module, options: ConvLora) -> None:
        names = choose_low_rank(encoder, options.targets, options.rank)
        grids, self._grid_hooks = follow_grids(encoder, names)
        self._balance = options.balance
        with torch.device("meta"):
            mixtures = {
                name: ConvMixture(width_of(encoder.get_submodule(name)), options, grids[name]) for name in names
            }
        self._gates = [mixture.gate for mixture in mixtures.values()]
        super().__init__(
            encoder, {f"{name}.conv_lora": mixture for name, mixture in mixtures.items()}, "Conv-LoRA values"
        )

    def auxiliary_loss(self) -> Tensor | float:
        """The experts' imbalance in the last forward pass in training, summed over the layers and weighted."""
        return self._balance * sum(gate.imbalance for gate in self._gates if gate.imbalance is not None)

    def detach(self) -> None:
        """Take the branches off, and what tells them their grids."""
        super().detach()
        for hook in self._grid_hooks:
            hook.remove()


class ConvMixture(Branch):
    """Conv-LoRA's branch beside one layer.

    Args:
        width: channels that the layer takes and gives.
        options: of the adapter.
        grid: of the layer's tokens, where it is fed tokens.
    """

    def __init__(self, width: tuple[int, int], options: ConvLora, grid: TokenGrid) -> None:
        super().__init__()
        rank = options.rank
        self.scale, self.grid = options.alpha / rank, grid
        self.dropout = nn.Dropout(options.dropout)
        self.lora_A = nn.Linear(width[0], rank, bias=False)
        self.gate = TopGate(rank, options.experts, options.gate == "differentiable")
        self.experts = nn.ModuleList(nn.Conv2d(rank, rank, 3, padding=1) for _ in range(options.experts))
        self.lora_B = nn.Linear(rank, width[1], bias=False)

    def reset(self, generator: Generator) -> None:
        """A and the convolutions: Kaiming uniform with a = sqrt 5; all else, B among it, zero."""
        for parameter in self.parameters():
            if parameter.ndim == 1:
                parameter.zero_()
        for zero in (self.gate.clean, self.gate.noise, self.lora_B.weight):
            zero.zero_()
        for layer in (self.lora_A, *self.experts):
            draw_kaiming(layer.get_parameter("weight"), generator)

    def forward(self, inputs: Tensor) -> Tensor:
        """(alpha / r) B (z + E(z)); what lies on no grid, such as a class token or a vector [B,C], has no E(z)."""
        low = self.lora_A(self.dropout(inputs))
        return self.scale * self.lora_B(low + self._spread(low))

    def _spread(self, low: Tensor) -> Tensor:
        if low.ndim == 4:
            return self.mix(low.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        if low.ndim == 2:
            return torch.zeros_like(low)
        return tokens_of_map(self.mix(map_of_tokens(low, self.grid)), low.shape[1])

    def mix(self, maps: Tensor) -> Tensor:
        """E(z): maps [B,r,h,w] through the chosen expert each.

        A trace holds no choice, so there every expert works on every map.
        """
        weights = self.gate(maps.mean((2, 3)))
        if torch.jit.is_tracing() or torch.compiler.is_compiling():
            every = torch.stack([self._expert(index, maps) for index in range(len(self.experts))], dim=1)
            return (weights[:, :, None, None, None] * every).sum(1)
        return weights.amax(1)[:, None, None, None] * self._chosen(maps, weights.argmax(1))

    def _chosen(self, maps: Tensor, chosen: Tensor) -> Tensor:
        """Maps [B,r,h,w] through experts [B], each of which works once on all maps that are its own."""
        order = chosen.argsort(stable=True)
        parts = maps[order].split(chosen.bincount(minlength=len(self.experts)).tolist())
        done = [self._expert(index, part) for index, part in enumerate(parts) if len(part)]
        return torch.cat(done)[order.argsort()]

    def _expert(self, index: int, maps: Tensor) -> Tensor:
        """Convolve maps at 1 + index times their height and width."""
        if index == 0:
            return F.gelu(self.experts[0](maps))
        large = F.interpolate(maps, scale_factor=float(1 + index), mode="bicubic", align_corners=False)
        large = F.gelu(self.experts[index](large))
        return F.interpolate(large, size=maps.shape[-2:], mode="bicubic", align_corners=False)
