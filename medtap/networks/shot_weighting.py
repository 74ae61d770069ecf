"""BAM's weights of shots: by how far their Gram matrices are from the query's (Lang et al., CVPR 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medtap.errors import OptionError

_EPS = 1e-7
_HIDDEN = 2


class ShotWeighting(nn.Module):
    """Weights of K shots, learnt from their distances in order of size.

    What is learnt serves for a support set of exactly so many shots. Any other one is weighted evenly, as the published
    code starts from.

    Args:
        shots: K that the weights were learnt for; 1 where none were.

    Raises:
        OptionError: there are less than 1.
    """

    def __init__(self, shots: int = 1) -> None:
        super().__init__()
        if shots < 1:
            raise OptionError("weights of less than one shot", expected="at least 1", found=str(shots))
        self.shots = shots
        if shots > 1:
            self.mix = nn.Sequential(nn.Conv2d(shots, _HIDDEN, 1), nn.ReLU(), nn.Conv2d(_HIDDEN, shots, 1))

    def forward(self, distances: Tensor) -> Tensor:
        """Weigh shots at distances [B,K]: weights [B,K] that sum to 1."""
        shots = distances.shape[1]
        if shots == 1 or shots != self.shots:
            return torch.full_like(distances, 1 / shots)
        ordered, order = distances.sort(dim=1)
        scores = self.mix(ordered[:, :, None, None]).flatten(1)
        return scores.gather(1, order.argsort(dim=1)).softmax(1)


def gram_matrix(features: Tensor) -> Tensor:
    """Cosines of channels over the places of features [...,C,h,w]: [...,C,C]."""
    channels = features.flatten(-2)
    lengths = channels.norm(dim=-1, keepdim=True)
    return (channels @ channels.transpose(-2, -1)) / (lengths @ lengths.transpose(-2, -1) + _EPS)


def gram_distances(query: Tensor, support: Tensor) -> Tensor:
    """Distances [B,K], from 0 to 1, of a query's Gram matrix [B,C,C] to those of its shots [B,K,C,C]."""
    return (query.unsqueeze(1) - support).norm(dim=(-2, -1)) / query.shape[-1]
