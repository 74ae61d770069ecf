"""Prior guidance, shared by PFENet (Tian et al., TPAMI 2020) and BAM (Lang et al., CVPR 2022).

A shot's middle features give a prototype of its foreground, its deepest features a prior mask of the query: where the
query is like any place of the foreground, whatever that is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medtap.networks.correlation import resize_masks
from medtap.networks.segmenter import Features, Memory, unfold_shots

_LEAST_AREA, _LEAST_LENGTH = 5e-4, 1e-7


class PriorGuidance(nn.Module):
    """Middle features of query and support, narrowed, and what is kept of a shot.

    Args:
        channels: of the maps of layers 2 and 3.
        width: channels they are narrowed to.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.query, self.support = (pointwise(sum(channels), width) for _ in range(2))

    def narrow(self, query: Features) -> Tensor:
        """Join and narrow the maps of a query's layers 2 and 3: [B,C,h,w]."""
        narrowed: Tensor = self.query(_joined(query))
        return narrowed

    def remember(self, layer4: nn.Module, support: Features, support_masks: Tensor) -> Memory:
        """Keep what guides a query.

        Args:
            layer4: the encoder's, which is run anew on layer 3 inside the masks.
            support: maps of layers 2, 3 (and others) [B,K,C,h,w].
            support_masks: [B,K,H,W] in [0,1].

        Returns:
            Prototypes [B,K,C,1,1], and layer 4 inside the masks, of length 1, [B,K,C,h,w].
        """
        maps = tuple(level.flatten(0, 1) for level in support)
        masks = resize_masks(support_masks, maps[1].shape[-2:]).flatten(0, 1)
        prototypes = _masked_mean(self.support(_joined(maps)), masks)
        deepest = _unit(layer4(maps[1] * masks) * masks)
        return unfold_shots((prototypes, deepest), support_masks.shape[0])


def pointwise(given: int, width: int) -> nn.Sequential:
    """A 1x1 convolution without bias, and a ReLU."""
    return nn.Sequential(nn.Conv2d(given, width, 1, bias=False), nn.ReLU())


def prior_masks(query: Tensor, support: Tensor) -> Tensor:
    """Each shot's prior mask of a query ("prior generation" in PFENet).

    Args:
        query: maps of layer 4 [B,C,h,w].
        support: what ``PriorGuidance`` keeps of them [B,K,C,h',w'].

    Returns:
        Highest cosine of every place to a place of the shot, [B,K,h,w], from 0 at a map's lowest to 1 at its highest.
    """
    directions = _unit(query)
    return torch.stack([_prior_mask(directions, shot) for shot in support.unbind(1)], dim=1)


def _prior_mask(query: Tensor, support: Tensor) -> Tensor:
    places = support.flatten(2)
    if not torch.jit.is_tracing():  # a trace would fix how many places there are
        places = _inside(places)
    cosines = places.transpose(1, 2) @ query.flatten(2)
    highest = cosines.max(1).values
    low, high = highest.amin(1, keepdim=True), highest.amax(1, keepdim=True)
    return ((highest - low) / (high - low + _LEAST_LENGTH)).unflatten(1, query.shape[-2:])


def _inside(places: Tensor) -> Tensor:
    """Of places [B,C,n], those inside of the masks and at least one that is 0, [B,C,n']: the others are 0 as well."""
    inside = (places != 0).any(1)
    most = int(inside.sum(1).max()) + 1
    first = inside.int().argsort(dim=1, descending=True)[:, :most]
    return places.gather(2, first.unsqueeze(1).expand(-1, places.shape[1], -1))


def _joined(maps: Features) -> Tensor:
    layer2, layer3 = maps[:2]
    return torch.cat([layer3, layer2], dim=1)


def _unit(maps: Tensor) -> Tensor:
    return F.normalize(maps, dim=1, eps=_LEAST_LENGTH)


def _masked_mean(maps: Tensor, masks: Tensor) -> Tensor:
    sums = (maps * masks).sum((2, 3), keepdim=True)
    return sums / (masks.sum((2, 3), keepdim=True) + _LEAST_AREA)
