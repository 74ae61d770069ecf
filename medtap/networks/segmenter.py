"""FewShotSegmenter: the one interface every few-shot network of medtap has."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Features: TypeAlias = tuple[Tensor, ...]
"""Maps of one batch of images, fine to coarse, each [B,C,h,w] (of a support set: [B,K,C,h,w])."""

Memory: TypeAlias = tuple[Tensor, ...]
"""What a head keeps of a support set, each [B,K,...]; entry k depends on shot k alone, so shots may be chosen later."""

M = TypeVar("M", bound=nn.Module)


class FewShotSegmenter(nn.Module):
    """A network that segments a query like the masked images of a support set.

    Subclasses give ``encoder`` (the part an adapter changes), ``encode`` and ``recall``, and ``remember`` where the
    head can keep less than the whole support features. Decoding is split in these two so that a support set is digested
    once and every query pays for ``recall`` alone; leave-one-out decoding selects shots from one memory.

    Attributes:
        name: the zoo's name for it.
        source: the name or folder that it was loaded from.
        size: side in pixels of the square images it works best on.
        targets: the layers that LoRA changes where it is not told which, see ``choose_targets``.
        rates: by adapter and layer of the encoder, what the learning rate is multiplied by, where that was learned.
        build: what its builder took, where that was anything but its own choices.
        aligned: whether logits are brought to a picture's size with aligned corners, as the published heads are.
        looks_at_support: whether a support set decides what is segmented. A network that learns it by adaptation alone
            remembers the same of every class.
    """

    encoder: nn.Module
    name: str = ""
    source: str = ""
    size: int = 256
    targets: str = "auto"
    rates: Mapping[str, Mapping[str, float]] = MappingProxyType({})
    build: Mapping[str, Any] = MappingProxyType({})
    aligned: bool = False
    looks_at_support: bool = True

    def encode(self, images: Tensor) -> Features:
        """Encode images [B,3,H,W] in [0,1] into feature maps, fine to coarse. Normalises inside."""
        raise NotImplementedError

    def remember(self, support: Features, support_masks: Tensor) -> Memory:
        """Digest support features [B,K,C,h,w] and masks [B,K,H,W] in [0,1], each shot on its own."""
        return (*support, support_masks)

    def recall(self, query: Features, memory: Memory) -> Tensor:
        """Decode query features [B,C,h,w] against a memory [B,K,...] into binary logits [B,2,H',W'] of any size."""
        raise NotImplementedError

    def resize(self, logits: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
        """Bring what ``recall`` gives, [B,C,H',W'], to the height and width of a picture."""
        return resize_logits(logits, size, aligned=self.aligned)

    def decode(self, query: Features, support: Features, support_masks: Tensor) -> Tensor:
        """Decode query features [B,C,h,w] against a support set [B,K,C,h,w], [B,K,H,W] into logits [B,2,H,W]."""
        return self.resize(self.recall(query, self.remember(support, support_masks)), support_masks.shape[-2:])

    def forward(self, query_images: Tensor, support_images: Tensor, support_masks: Tensor) -> Tensor:
        """Segment queries [B,3,H,W] by supports [B,K,3,H,W] with binary masks [B,K,H,W]; logits [B,2,H,W]."""
        support = unfold_shots(self.encode(support_images.flatten(0, 1)), support_images.shape[0])
        logits = self.recall(self.encode(query_images), self.remember(support, support_masks))
        return self.resize(logits, query_images.shape[-2:])


def unfold_shots(features: Features, batch: int) -> Features:
    """Turn maps [B*K,C,h,w] into [B,K,C,h,w]."""
    return tuple(level.unflatten(0, (batch, -1)) for level in features)


def resize_logits(logits: Tensor, size: torch.Size | tuple[int, int], *, aligned: bool = False) -> Tensor:
    """Resize logits [B,C,H',W'] bilinearly to H and W, where they are not that size already."""
    if logits.shape[-2:] == torch.Size(size):
        return logits
    return F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=aligned)


def share_weights(module: M) -> M:
    """Copy a module's structure while every tensor keeps sharing its storage with the original.

    Replacing or freezing a parameter of the copy leaves the original as it is; changing values in place would not.
    """
    memo: dict[int, object] = {}
    for parameter in module.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach(), requires_grad=parameter.requires_grad)
    for buffer in module.buffers():
        memo[id(buffer)] = buffer
    return copy.deepcopy(module, memo)
