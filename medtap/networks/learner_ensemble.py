"""BAM's ensemble: what the base learner knows is no part of the new class (Lang et al., CVPR 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medtap.networks.base_learner import BaseLearner


class LearnerEnsemble(nn.Module):
    """Adjusts the meta learner's probabilities by the distance of query and support, and by the base learner.

    Args:
        channels: of the maps of layer 4.
        base_classes: that the base learner knows, without the background.
    """

    def __init__(self, channels: int, base_classes: int) -> None:
        super().__init__()
        self.base = BaseLearner(channels, base_classes)
        self.adjust, self.merge = _first_of_two(), _first_of_two()

    def forward(self, meta_logits: Tensor, features: Tensor, distances: Tensor) -> Tensor:
        """Merge the predictions of both learners.

        Args:
            meta_logits: [B,2,h,w].
            features: the query's maps of layer 4 [B,C,h,w].
            distances: of the query to its support set, [B].

        Returns:
            [B,2,h,w], adjusted probabilities that the published code takes for logits.
        """
        background, foreground = meta_logits.softmax(1).split(1, dim=1)
        far = distances.view(-1, 1, 1, 1).expand_as(background)
        background, foreground = (self.adjust(torch.cat([meta, far], dim=1)) for meta in (background, foreground))
        background = self.merge(torch.cat([background, self.base(features)], dim=1))
        return torch.cat([background, foreground], dim=1)


def _first_of_two() -> nn.Conv2d:
    """A 1x1 convolution of two maps that gives the first one, before it is trained."""
    convolution = nn.Conv2d(2, 1, 1, bias=False)
    with torch.no_grad():
        convolution.weight.copy_(torch.tensor([1.0, 0.0]).view(1, 2, 1, 1))
    return convolution
