"""A network on a new encoder that begins where a trained one is: the same head, and maps as like its as can be."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from medtap.errors import WeightsError
from medtap.networks.efficientnet_lite import EfficientNetLite
from medtap.networks.segmenter import FewShotSegmenter

_RIDGE = 1e-4  # of the mean variance of what a lateral is given


@torch.no_grad()
def learn_from(network: FewShotSegmenter, teacher: FewShotSegmenter, pictures: Iterable[Tensor]) -> list[float]:
    """Take a teacher's head, and fit the encoder's laterals to give the teacher's maps (least squares).

    Args:
        network: with an EfficientNet-Lite encoder; is changed.
        teacher: with a head of the same shape.
        pictures: batches [B,3,H,W] in [0,1] on which the maps are compared.

    Returns:
        By map, fine to coarse, the share of the teacher's variance that the laterals explain.

    Raises:
        WeightsError: the head does not fit, or the encoder has no laterals.
    """
    if not isinstance(network.encoder, EfficientNetLite):
        raise WeightsError(f"the encoder of {network.name!r} has no laterals to fit", expected="an EfficientNet-Lite")
    _take_head(network, teacher)
    network.eval()
    fits = [_Fit() for _ in network.encoder.laterals]
    for batch in pictures:
        pairs = zip(fits, network.encoder.maps(batch), teacher.encode(batch), strict=True)
        for fit, given, wanted in pairs:
            fit.add(given, wanted)
    network.train()
    return [fit.solve(lateral) for fit, lateral in zip(fits, network.encoder.laterals, strict=True)]


def _take_head(network: FewShotSegmenter, teacher: FewShotSegmenter) -> None:
    head, own = _head_of(teacher), _head_of(network)
    if {name: value.shape for name, value in own.items()} != {name: value.shape for name, value in head.items()}:
        raise WeightsError(f"the head of {teacher.name!r} does not fit {network.name!r}", expected="the same head")
    network.load_state_dict(head, strict=False)


def _head_of(network: FewShotSegmenter) -> dict[str, Tensor]:
    return {name: value for name, value in network.state_dict().items() if not name.startswith("encoder.")}


class _Fit:
    """Least squares of maps by others, from sums of products."""

    def __init__(self) -> None:
        self.count, self.given = 0, 0
        self.sums: Tensor | float = 0.0
        self.products: Tensor | float = 0.0

    def add(self, given: Tensor, wanted: Tensor) -> None:
        """Take note of maps [B,C,h,w] that belong together."""
        both = torch.cat([given, wanted], dim=1).double().transpose(0, 1).flatten(1)
        self.given, self.count = given.shape[1], self.count + both.shape[1]
        self.sums, self.products = self.sums + both.sum(1), self.products + both @ both.T

    def solve(self, lateral: nn.Module) -> float:
        """Give a 1x1 convolution the weights that come nearest; the share of variance that they explain."""
        means = torch.as_tensor(self.sums) / self.count
        spread = torch.as_tensor(self.products) / self.count - torch.outer(means, means)
        own, cross, wanted = spread[: self.given, : self.given], spread[: self.given, self.given :], spread.diagonal()
        ridge = _RIDGE * own.diagonal().mean() * torch.eye(self.given, dtype=own.dtype)
        found = torch.linalg.solve(own + ridge, cross)
        bias = means[self.given :] - means[: self.given] @ found
        lateral.load_state_dict({"weight": found.T[..., None, None], "bias": bias})
        return float((found * (2 * cross - own @ found)).sum() / wanted[self.given :].sum())
