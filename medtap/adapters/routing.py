"""Noisy top-1 gating of a mixture of experts, with losses that balance it (Shazeer et al., ICLR 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LEAST_NOISE = 0.01


def squared_variation(values: Tensor) -> Tensor:
    """Squared coefficient of variation of values [M], with the unbiased variance; 0 of a single one."""
    if len(values) == 1:
        return values.new_zeros(())
    return values.var() / (values.mean() ** 2 + 1e-10)


def expected_load(clean: Tensor, noisy: Tensor, deviation: Tensor) -> Tensor:
    """How many inputs each expert would be chosen for, had its noise been drawn anew (appendix A, equation 8).

    Args:
        clean: logits [B,M] without noise, M from 2.
        noisy: the same with noise.
        deviation: standard deviation [B,M] of the noise.

    Returns:
        [M], which has a gradient where the choice itself has none.
    """
    (first, second), best = noisy.topk(2, dim=1).values.unbind(1), noisy.argmax(1)
    chosen = F.one_hot(best, noisy.shape[1]).bool()
    threshold = torch.where(chosen, second.unsqueeze(1), first.unsqueeze(1))
    return torch.special.ndtr((clean - threshold) / deviation).sum(0)


class TopGate(nn.Module):
    """Chooses one expert an input, by noisy logits in training.

    Args:
        width: r, of the input.
        experts: M.
        differentiable: weigh the chosen expert by its share of the softmax over all of them (Fedus et al., JMLR 2022,
            equation 2), so that the gate learns from the task too. Otherwise its weight is 1, as in Conv-LoRA: the
            softmax over the chosen logit alone, which has no gradient; the gate then learns from ``imbalance``.

    Attributes:
        imbalance: cv2(importance) + cv2(load) of the last forward pass in training, see ``squared_variation``; None in
            evaluation.
    """

    def __init__(self, width: int, experts: int, differentiable: bool) -> None:
        super().__init__()
        self.differentiable = differentiable
        self.clean = nn.Parameter(torch.zeros(width, experts))
        self.noise = nn.Parameter(torch.zeros(width, experts))
        self.imbalance: Tensor | None = None

    def train(self, mode: bool = True) -> TopGate:
        """Switch the noise, and forget the imbalance."""
        self.imbalance = None
        return super().train(mode)

    def forward(self, pooled: Tensor) -> Tensor:
        """From pooled inputs [B,r] to the weights [B,M] of the experts, zero but for the chosen one's."""
        logits = pooled @ self.clean
        if not self.training:
            return self._weights(logits)
        deviation = F.softplus(pooled @ self.noise) + _LEAST_NOISE
        noisy = logits + torch.randn_like(logits) * deviation
        weights = self._weights(noisy)
        self.imbalance = squared_variation(weights.sum(0))
        if weights.shape[1] > 1:
            self.imbalance = self.imbalance + squared_variation(expected_load(logits, noisy, deviation))
        return weights

    def _weights(self, logits: Tensor) -> Tensor:
        chosen = F.one_hot(logits.argmax(1), logits.shape[1]).to(logits.dtype)
        return chosen * logits.softmax(1) if self.differentiable else chosen
