"""PATNet, Cross-Domain Few-Shot Semantic Segmentation (Lei et al., ECCV 2022)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

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
from medtap.networks.segmenter import Features, FewShotSegmenter, Memory

_CODE = "written afresh for medtap (Apache-2.0)"
_WEIGHTS = "`medtap convert` of a checkpoint from https://github.com/slei109/PATNet"


class PatnetSegmenter(HypercorrelationSegmenter):
    """HSNet on features that a shot's prototypes map onto learnt anchors, which are the same in every domain.

    Args:
        encoder: gives the blocks of strides 8, 16 and 32.
        widths: channels of the head.
    """

    def __init__(self, encoder: BlockEncoder, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__(encoder, widths)
        self.anchors = random_anchors(encoder.channels)

    def remember(self, support: Features, support_masks: Tensor) -> Memory:
        """Keep, of each block, a shot's dual prototypes [B,K,2,C] and its transformed features [B,K,2,h,w]."""
        every_duals, every_places = [], []
        for level, gram in zip(support, self._grams(), strict=True):
            mask = resize_masks(support_masks, level.shape[-2:])
            duals = dual_rows(masked_prototypes(level, mask))
            every_duals.append(duals)
            every_places.append(unit_coordinates(coordinates(duals, level) * mask, gram))
        return (*every_duals, *every_places)

    def recall(self, query: Features, memory: Memory) -> Tensor:
        """Decode query features against a memory into logits [B,2,2h,2w], the mean over shots."""
        return mean_over_shots(self._decode_pairs, query, memory, memory[len(query)].shape[-2:])

    def _decode_pairs(self, query: Features, memory: Memory) -> Tensor:
        duals, support = memory[: len(query)], memory[len(query) :]
        matched = []
        for level, rows, gram in zip(query, duals, self._grams(), strict=True):
            matched.append(lowered(unit_coordinates(coordinates(rows, level), gram), gram))
        logits: Tensor = self.head(hypercorrelations(matched, support, self.depths))
        return logits

    def _grams(self) -> Iterator[Tensor]:
        return by_block([gram_matrix(anchors) for anchors in self.anchors], self.depths)


def random_anchors(channels: Sequence[int]) -> nn.ParameterList:
    """A background and a foreground anchor [2,C] a stage, normally distributed of variance 1 / C."""
    return nn.ParameterList(torch.randn(2, width) / width**0.5 for width in channels)


def by_block(values: Sequence[Tensor], depths: Sequence[int]) -> Iterator[Tensor]:
    """Repeat each stage's value for all of its blocks."""
    return (value for value, depth in zip(values, depths, strict=True) for _ in range(depth))


@origin(encoder="ResNet-50", code=_CODE, weights=_WEIGHTS, weights_licence="not stated")
def patnet_resnet50() -> FewShotSegmenter:
    """PATNet on ResNet-50: HSNet with anchors at three stages, 2.58 M parameters in the head, 400 px."""
    return PatnetSegmenter(resnet50_blocks())
