"""Dense affinities: what a query's places are like in the support set, in the manner of ABCDFSS (Herzog, CVPR 2024).

Source-free: nothing but the backbone has weights, and no episode was ever trained on. Every place of a query attends to
the places of all shots in each of the last blocks' maps, and takes on the mean of their masks; the blocks' results are
averaged. ABCDFSS fits a small layer to each map while testing. Here Take a Peek adapts the encoder instead.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import ResNetConfig

from medtap.networks.blocks import resnet_blocks
from medtap.networks.origin import origin
from medtap.networks.segmenter import Features, FewShotSegmenter, Memory

_SHARPNESS = 20.0  # of cosines
_LEAST = 1e-4  # probability, so that logits stay finite


class AffinitySegmenter(FewShotSegmenter):
    """Masks carried from the support set to a query by the likeness of their places.

    Args:
        encoder: gives maps, any number a stride, finer ones first.
        matched: how many of them count, the last ones. Six of ResNet-50's nine keep matching below an encode.
    """

    def __init__(self, encoder: nn.Module, matched: int = 6) -> None:
        super().__init__()
        self.encoder, self.matched = encoder, matched

    def encode(self, images: Tensor) -> Features:
        """Encode images [B,3,H,W] in [0,1] into the maps that count."""
        maps: Features = self.encoder(images)
        return maps[-self.matched :]

    def remember(self, support: Features, support_masks: Tensor) -> Memory:
        """Keep the directions of every map's features, [B,K,C,h,w], and the masks on its grid, [B,K,1,h,w]."""
        grids = ((level.shape[-2], level.shape[-1]) for level in support)
        masks = (F.adaptive_avg_pool2d(support_masks, grid).unsqueeze(2) for grid in grids)
        return (*(F.normalize(level, dim=2) for level in support), *masks)

    def recall(self, query: Features, memory: Memory) -> Tensor:
        """Carry masks to maps [B,C,h,w]; logits [B,2,h,w] on the finest map's grid."""
        parts = zip(query, memory[: len(query)], memory[len(query) :], strict=True)
        grid = query[0].shape[-2:]
        carried = [F.interpolate(carry(*part), size=grid, mode="bilinear", align_corners=False) for part in parts]
        foreground = torch.stack(carried).mean(0).clamp(_LEAST, 1 - _LEAST)
        return torch.cat([1 - foreground, foreground], dim=1).log()


def carry(query: Tensor, keys: Tensor, masks: Tensor) -> Tensor:
    """The mean mask of the places like each place of a query, by a softmax over the cosines to all of them.

    Args:
        query: features [B,C,h,w].
        keys: directions of support features [B,K,C,h',w'].
        masks: soft masks [B,K,1,h',w'] in [0,1].

    Returns:
        [B,1,h,w] in [0,1].
    """
    places = _SHARPNESS * F.normalize(query, dim=1).flatten(2).transpose(1, 2).unsqueeze(1)
    weights = (places @ keys.flatten(3) - _SHARPNESS).exp()  # of each shot apart: its keys are never copied
    values = torch.stack([masks, torch.ones_like(masks)], dim=-1).flatten(2, 4).to(weights.dtype)
    foreground, everything = (weights @ values).sum(1).unbind(-1)
    return (foreground / everything).unsqueeze(1).unflatten(2, query.shape[-2:])


@origin(
    encoder="ResNet-50, the last three blocks of stages 3 and 4",
    code="written afresh for medtap (Apache-2.0)",
    weights="`medtap convert` of an ImageNet ResNet-50 with torchvision's names",
    weights_licence="that of the backbone's weights",
)
def affinity_resnet50() -> FewShotSegmenter:
    """Dense affinities on ResNet-50, source-free: nothing but the backbone has weights."""
    network = AffinitySegmenter(resnet_blocks(ResNetConfig(), (3, 4)))
    network.size = 400
    return network
