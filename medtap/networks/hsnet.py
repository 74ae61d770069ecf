"""HSNet, Hypercorrelation Squeeze for Few-Shot Segmentation (Min, Kang and Cho, ICCV 2021)."""

from __future__ import annotations

from torch import Tensor

from medtap.networks.blocks import resnet50_blocks
from medtap.networks.correlation import hypercorrelations, resize_masks, unit
from medtap.networks.hypercorrelation import HypercorrelationSegmenter
from medtap.networks.origin import origin
from medtap.networks.pairs import mean_over_shots
from medtap.networks.segmenter import Features, FewShotSegmenter, Memory

_CODE = "written afresh for medtap (Apache-2.0)"
_WEIGHTS = "`medtap convert` of a checkpoint from https://github.com/juhongm999/hsnet"


class HsnetSegmenter(HypercorrelationSegmenter):
    """Cosines of every block's query features to masked support features, squeezed by 4D convolutions."""

    def remember(self, support: Features, support_masks: Tensor) -> Memory:
        """Keep the masked support features, each of length 1, [B,K,C,h,w]."""
        return tuple(unit(level * resize_masks(support_masks, level.shape[-2:])) for level in support)

    def recall(self, query: Features, memory: Memory) -> Tensor:
        """Decode query features against a memory into logits [B,2,2h,2w], the mean over shots."""
        return mean_over_shots(self._decode_pairs, query, memory, memory[0].shape[-2:])

    def _decode_pairs(self, query: Features, support: Memory) -> Tensor:
        units = [unit(level) for level in query]
        logits: Tensor = self.head(hypercorrelations(units, support, self.depths))
        return logits


@origin(encoder="ResNet-50", code=_CODE, weights=_WEIGHTS, weights_licence="not stated")
def hsnet_resnet50() -> FewShotSegmenter:
    """HSNet on ResNet-50: correlations of 13 bottlenecks, 2.57 M parameters in the head, 400 px."""
    return HsnetSegmenter(resnet50_blocks())
