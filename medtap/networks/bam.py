"""BAM, Learning What Not to Segment (Lang et al., CVPR 2022).

The arithmetic is the published code's in evaluation, so that its checkpoints serve. As in PFENet, images have sides of
8n + 1 pixels, and logits of other images are stretched by up to 7 pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from medtap.errors import OptionError
from medtap.networks.aspp import DILATIONS, Aspp
from medtap.networks.dilated_resnet import DilatedResNet, dilated_resnet50
from medtap.networks.learner_ensemble import LearnerEnsemble
from medtap.networks.mask_classifier import MaskClassifier
from medtap.networks.origin import origin
from medtap.networks.prior_guidance import PriorGuidance, pointwise, prior_masks
from medtap.networks.segmenter import Features, FewShotSegmenter, Memory
from medtap.networks.shot_weighting import ShotWeighting, gram_distances, gram_matrix

_CODE = "written afresh for medtap (Apache-2.0); the published code is MIT"
_WEIGHTS = "`medtap convert` of a checkpoint from https://github.com/chunbolang/BAM"


class BamSegmenter(FewShotSegmenter):
    """A prototype and a prior mask decoded by ASPP (the meta learner); with a base learner, the ensemble of both.

    The base learner marks what belongs to the classes of natural images that it was trained on. Without it, the logits
    are the meta learner's alone. ``remember`` runs the encoder's layer 4 on the masked support, adapted where the
    encoder is.

    Args:
        encoder: gives the maps of layers 2, 3 and 4.
        width: channels of the meta learner.
        base_classes: that the base learner knows, without the background; 0 for no base learner.
        shots: K that weights of shots were learnt for; see ``ShotWeighting``.

    Raises:
        OptionError: ``base_classes`` is negative, or ``shots`` not positive.
    """

    encoder: DilatedResNet
    size = 473
    aligned = True

    def __init__(self, encoder: DilatedResNet, width: int = 256, base_classes: int = 0, shots: int = 1) -> None:
        super().__init__()
        if base_classes < 0:
            raise OptionError("a base learner of less than no class", expected="at least 0", found=str(base_classes))
        self.encoder = encoder
        self.guidance = PriorGuidance(encoder.channels[:2], width)
        self.weighting = ShotWeighting(shots)
        self.merge, self.aspp = pointwise(2 * width + 1, width), Aspp(width)
        self.classifier = MaskClassifier((2 + len(DILATIONS)) * width, width)
        self.ensemble = LearnerEnsemble(encoder.channels[2], base_classes) if base_classes else None

    @property
    def base_learner(self) -> bool:
        """Whether there is a base learner, so that logits are the ensemble's."""
        return self.ensemble is not None

    def encode(self, images: Tensor) -> Features:
        """Encode images [B,3,H,W] in [0,1] into the maps of layers 2, 3 and 4, of stride 8."""
        maps: Features = self.encoder(images)
        return maps

    def remember(self, support: Features, support_masks: Tensor) -> Memory:
        """Keep prototypes [B,K,C,1,1], layer 4 of the masked support [B,K,C,h,w], and Gram matrices [B,K,C,C]."""
        prototypes, deepest = self.guidance.remember(self.encoder.layer4, support, support_masks)
        return prototypes, deepest, gram_matrix(support[0])

    def recall(self, query: Features, memory: Memory) -> Tensor:
        """Decode query features against a memory, its shots weighted, into logits [B,2,h,w]."""
        prototypes, deepest, grams = memory
        distances = gram_distances(gram_matrix(query[0]), grams)
        weights = self.weighting(distances)
        priors = _weighted(weights, prior_masks(query[2], deepest)).unsqueeze(1)
        logits = self._decode(self.guidance.narrow(query), _weighted(weights, prototypes), priors)
        return logits if self.ensemble is None else self.ensemble(logits, query[2], _weighted(weights, distances))

    def _decode(self, query: Tensor, prototypes: Tensor, priors: Tensor) -> Tensor:
        merged = self.merge(torch.cat([query, prototypes.expand_as(query), priors], dim=1))
        logits: Tensor = self.classifier(self.aspp(merged))
        return logits


def _weighted(weights: Tensor, values: Tensor) -> Tensor:
    """Sum values [B,K,...] over shots with weights [B,K]."""
    return (weights.view(*weights.shape, *[1] * (values.ndim - 2)) * values).sum(1)


@origin(encoder="ResNet-50, dilated", code=_CODE, weights=_WEIGHTS, weights_licence="not stated")
def bam_resnet50(shots: int = 1) -> FewShotSegmenter:
    """BAM on a dilated ResNet-50, its meta learner alone: no base learner, 4.9 M parameters in the head, 473 px.

    Args:
        shots: K that weights of shots were learnt for.
    """
    return BamSegmenter(dilated_resnet50(), shots=shots)


@origin(encoder="ResNet-50, dilated", code=_CODE, weights=_WEIGHTS, weights_licence="not stated")
def bam_ensemble_resnet50(base_classes: int = 15, shots: int = 1) -> FewShotSegmenter:
    """BAM on a dilated ResNet-50 with its base learner of natural images' classes, and the ensemble of both, 473 px.

    Args:
        base_classes: that the base learner knows, without the background: 15 of Pascal-5i, 60 of COCO-20i.
        shots: K that weights of shots were learnt for.
    """
    return BamSegmenter(dilated_resnet50(), base_classes=base_classes, shots=shots)
