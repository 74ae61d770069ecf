"""DMTNet, Cross-Domain Few-Shot Segmentation via Doubly Matching Transformation (Chen et al., IJCAI 2024).

Facts of the published code that its weights were trained with are kept: the query's prototypes meet the query's anchors
foreground first, where the support set's have the background first; the cells of the grid are a quarter of a map's side
long, with one more at its end where a rest remains; the prediction is the foreground branch's alone. The dropout of
anchors belongs to training the head, which is not done here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from medtap.networks.anchors import (
    coordinates,
    dual_rows,
    gram_matrix,
    lowered,
    masked_prototypes,
    unit_coordinates,
)
from medtap.networks.blocks import BlockEncoder, resnet50_blocks
from medtap.networks.correlation import hypercorrelations, resize_masks
from medtap.networks.hypercorrelation import WIDTHS, HypercorrelationSegmenter
from medtap.networks.origin import origin
from medtap.networks.pairs import mean_over_shots
from medtap.networks.patnet import by_block, random_anchors
from medtap.networks.segmenter import Features, FewShotSegmenter, Memory

_CODE = "written afresh for medtap (Apache-2.0)"
_WEIGHTS = "`medtap convert` of a checkpoint from https://github.com/ChenJiayi68/DMTNet"
_PARTS = 4  # cells along a side of a map


class DmtnetSegmenter(HypercorrelationSegmenter):
    """PATNet whose query is half transformed by its own prototypes, and with a second branch for the background.

    Args:
        encoder: gives the blocks of strides 8, 16 and 32.
        widths: channels of the head.
    """

    def __init__(self, encoder: BlockEncoder, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__(encoder, widths)
        self.anchors, self.query_anchors = (random_anchors(encoder.channels) for _ in range(2))

    def remember(self, support: Features, support_masks: Tensor) -> Memory:
        """Keep what a shot gives of each block.

        Returns:
            The dual prototypes [B,K,2,C] of all blocks, then their lean to the foreground [B,K,C], then their
            transformed foreground and their transformed background, [B,K,2,h,w] each.
        """
        kept = []
        for level, gram in zip(support, self._grams(), strict=True):
            mask, own = resize_masks(support_masks, level.shape[-2:]), gram[:2, :2]
            duals = dual_rows(masked_prototypes(level, mask))
            places = coordinates(duals, level)
            foreground, background = (unit_coordinates(places * part, own) for part in (mask, 1 - mask))
            kept.append((duals, foreground_lean(level, mask), foreground, background))
        return tuple(part for parts in zip(*kept, strict=True) for part in parts)

    def recall(self, query: Features, memory: Memory) -> Tensor:
        """Decode query features against a memory into logits [B,2,2h,2w], the mean over shots."""
        duals, leans, foreground, _ = _quarters(memory)
        return self._branch(query, (*duals, *leans, *foreground))

    def recall_background(self, query: Features, memory: Memory) -> Tensor:
        """As ``recall``, of the background: the branch whose loss is added in the published training."""
        duals, leans, _, background = _quarters(memory)
        return self._branch(query, (*duals, *leans, *background))

    def _branch(self, query: Features, memory: Memory) -> Tensor:
        return mean_over_shots(self._decode_pairs, query, memory, memory[2 * len(query)].shape[-2:])

    def _decode_pairs(self, query: Features, memory: Memory) -> Tensor:
        count = len(query)
        duals, leans, support = memory[:count], memory[count : 2 * count], memory[2 * count :]
        matched = [
            lowered(unit_coordinates(_places(level, rows, lean), gram), gram)[:, :2]
            for level, rows, lean, gram in zip(query, duals, leans, self._grams(), strict=True)
        ]
        logits: Tensor = self.head(hypercorrelations(matched, support, self.depths))
        return logits

    def _grams(self) -> Iterator[Tensor]:
        """By block, the products [4,4] of the anchors of the support set and of the query."""
        pairs = zip(self.anchors, self.query_anchors, strict=True)
        return by_block([gram_matrix(torch.cat(pair)) for pair in pairs], self.depths)


def _quarters(memory: Memory) -> Iterator[Memory]:
    count = len(memory) // 4
    return (memory[start : start + count] for start in range(0, len(memory), count))


def _places(query: Tensor, duals: Tensor, lean: Tensor) -> Tensor:
    """Coordinates [P,4,h,w] of the mean of a query [P,C,h,w] transformed by a shot and by itself."""
    own = dual_rows(query_prototypes(query, lean).flip(1))
    return 0.5 * torch.cat([coordinates(duals, query), coordinates(own, query)], dim=1)


def query_prototypes(query: Tensor, lean: Tensor) -> Tensor:
    """Prototypes [P,2,C] of a query [P,C,h,w], background first, split by a shot's lean [P,C] to the foreground."""
    foreground = (torch.einsum("pchw,pc->phw", query, lean) > 0).unsqueeze(1).to(query.dtype)
    return masked_prototypes(query, foreground)


@torch.no_grad()
def foreground_lean(features: Tensor, masks: Tensor) -> Tensor:
    """The direction along which a place is more like a shot's foreground than like its background, cell by cell.

    Args:
        features: [B,K,C,h,w].
        masks: [B,K,1,h,w] in [0,1].

    Returns:
        [B,K,C]: unit prototypes of the foreground of every cell, summed, less those of the background. Its product
        with a feature has the sign of the difference of the mean cosines; the split has no gradient.
    """
    rows, columns = (cells(side).to(features) for side in features.shape[-2:])
    sums = [torch.einsum("bkchw,ih,jw->bkcij", features * part, rows, columns) for part in (masks, 1 - masks)]
    foreground, background = (F.normalize(each, dim=2).sum((3, 4)) for each in sums)
    return foreground - background


def cells(side: int) -> Tensor:
    """Which of a side's places [n, side] are in each of its n cells, as 0 and 1."""
    length = max(1, side // _PARTS)
    starts = list(range(0, side - length + 1, length))
    if starts[-1] + length < side:
        starts.append(side - length)
    places = torch.arange(side)
    return torch.stack([(places >= start) & (places < start + length) for start in starts]).float()


@origin(encoder="ResNet-50", code=_CODE, weights=_WEIGHTS, weights_licence="not stated")
def dmtnet_resnet50() -> FewShotSegmenter:
    """DMTNet on ResNet-50: PATNet with anchors of the query beside, 2.59 M parameters in the head, 400 px."""
    return DmtnetSegmenter(resnet50_blocks())
