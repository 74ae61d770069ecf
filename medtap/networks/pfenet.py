"""PFENet, Prior Guided Feature Enrichment Network for Few-Shot Segmentation (Tian et al., TPAMI 2020).

The arithmetic is the published code's in evaluation, so that its checkpoints serve: every resize has aligned corners.
Its images have sides of 8n + 1 pixels, the places of maps being the pixels 0, 8, 16, ...; logits of other images are
stretched by up to 7 pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from medtap.networks.dilated_resnet import DilatedResNet, dilated_resnet50
from medtap.networks.feature_enrichment import FeatureEnrichment
from medtap.networks.mask_classifier import MaskClassifier
from medtap.networks.origin import origin
from medtap.networks.prior_guidance import PriorGuidance, prior_masks
from medtap.networks.segmenter import Features, FewShotSegmenter, Memory

_CODE = "written afresh for medtap (Apache-2.0); the published code carries no licence"
_WEIGHTS = "`medtap convert` of a checkpoint from https://github.com/dvlab-research/PFENet"


class PfenetSegmenter(FewShotSegmenter):
    """A prototype and a prior mask, merged with the query's features at several scales.

    ``remember`` runs the encoder's layer 4 on the masked support, adapted where the encoder is.

    Args:
        encoder: gives the maps of layers 2, 3 and 4.
        width: channels of the head.
        bins: sides of the grids at which it merges, fine to coarse.
    """

    encoder: DilatedResNet
    size = 473
    aligned = True

    def __init__(self, encoder: DilatedResNet, width: int = 256, bins: Sequence[int] = (60, 30, 15, 8)) -> None:
        super().__init__()
        self.encoder = encoder
        self.guidance = PriorGuidance(encoder.channels[:2], width)
        self.enrichment = FeatureEnrichment(width, bins)
        self.classifier = MaskClassifier(len(bins) * width, width)

    def encode(self, images: Tensor) -> Features:
        """Encode images [B,3,H,W] in [0,1] into the maps of layers 2, 3 and 4, of stride 8."""
        maps: Features = self.encoder(images)
        return maps

    def remember(self, support: Features, support_masks: Tensor) -> Memory:
        """Keep prototypes [B,K,C,1,1], and layer 4 of the masked support, [B,K,C,h,w] of length 1."""
        return self.guidance.remember(self.encoder.layer4, support, support_masks)

    def recall(self, query: Features, memory: Memory) -> Tensor:
        """Decode query features against a memory, prototypes and priors averaged, into logits [B,2,h,w]."""
        prototypes, deepest = memory
        priors = prior_masks(query[2], deepest).mean(1, keepdim=True)
        enriched = self.enrichment(self.guidance.narrow(query), prototypes.mean(1), priors)
        logits: Tensor = self.classifier(enriched)
        return logits


@origin(encoder="ResNet-50, dilated", code=_CODE, weights=_WEIGHTS, weights_licence="not stated")
def pfenet_resnet50() -> FewShotSegmenter:
    """PFENet on a dilated ResNet-50: a prior mask and feature enrichment, 8.5 M parameters in the head, 473 px."""
    return PfenetSegmenter(dilated_resnet50())
