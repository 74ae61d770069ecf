"""SSP, self-support prototypes (Fan et al., ECCV 2022): no weights of its own, so it serves on any backbone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import ResNetConfig

from medtap.networks.blocks import resnet_blocks
from medtap.networks.encoders import BackboneEncoder, backbone_encoder, load_backbone
from medtap.networks.origin import origin
from medtap.networks.segmenter import Features, FewShotSegmenter, Memory

_CODE = "written afresh for medtap (Apache-2.0)"
_SCALE = 10.0  # of cosines, to make them logits
_SHARPNESS = 2.0  # of cosines between places of a query
_FOREGROUND, _BACKGROUND = 0.7, 0.6  # probabilities from which a place supports its own picture
_FEWEST = 12  # places that support it where none is so sure
_RESNET50 = {"model_type": "resnet", "hidden_sizes": [256, 512, 1024], "depths": [3, 4, 6]}
_OWN_FOREGROUND, _OWN_BACKGROUND = 0.5, 0.3  # weights of the query's own prototypes


class SspSegmenter(FewShotSegmenter):
    """Self-support matching on the last map of an encoder.

    The support set's prototypes segment the query, the sure places of that segmentation give prototypes of the query's
    own (its background's adapted to every place), and these segment it again (sections 3.2 to 3.4).

    Args:
        encoder: gives maps; the last one is used.
        stride: of that map, in pixels.
    """

    def __init__(self, encoder: nn.Module, stride: int) -> None:
        super().__init__()
        self.encoder, self.stride = encoder, stride

    def encode(self, images: Tensor) -> Features:
        """Encode images [B,3,H,W] in [0,1] into one map."""
        return (self.encoder(images)[-1],)

    def remember(self, support: Features, support_masks: Tensor) -> Memory:
        """Keep each shot's prototypes of foreground and background, both [B,K,C]."""
        grid = support[0].shape[-2:]
        masks = F.interpolate(support_masks, size=grid, mode="bilinear", align_corners=True)
        return masked_mean(support[0], masks), masked_mean(support[0], 1 - masks)

    def recall(self, query: Features, memory: Memory) -> Tensor:
        """Match a map [B,C,h,w] with prototypes [B,K,C] twice; logits [B,2,stride*h,stride*w]."""
        features = query[0]
        foreground, background = (kept.mean(1)[..., None, None] for kept in memory)
        first = prototype_logits(features, background, foreground)
        own_foreground, own_background, adaptive = self_support(features, first.softmax(1))
        foreground = (1 - _OWN_FOREGROUND) * foreground + _OWN_FOREGROUND * own_foreground
        background = _OWN_BACKGROUND * own_background + (1 - _OWN_BACKGROUND) * adaptive
        logits = prototype_logits(features, background, foreground)
        return F.interpolate(logits, scale_factor=self.stride, mode="bilinear", align_corners=True)


def masked_mean(maps: Tensor, masks: Tensor) -> Tensor:
    """Means [B,K,C] of maps [B,K,C,h,w] weighted by masks [B,K,h,w]; next to 0 where a mask is empty."""
    sums = torch.einsum("bkchw,bkhw->bkc", maps, masks)
    return sums / (masks.sum((2, 3)).unsqueeze(2) + 1e-5)


def prototype_logits(features: Tensor, background: Tensor, foreground: Tensor) -> Tensor:
    """Scaled cosines [B,2,h,w] of features [B,C,h,w] to prototypes [B,C,1,1] or, place by place, [B,C,h,w]."""
    cosines = [F.cosine_similarity(features, prototype, dim=1) for prototype in (background, foreground)]
    return _SCALE * torch.stack(cosines, dim=1)


def self_support(features: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Prototypes of a query from the places of its own that are sure (section 3.3).

    Args:
        features: maps [B,C,h,w].
        probabilities: of background and foreground, [B,2,h,w].

    Returns:
        Foreground and background prototypes [B,C,1,1], and the background's adapted to every place, [B,C,h,w].
    """
    background, foreground = probabilities.flatten(2).unbind(1)
    places = features.flatten(2)
    sure_background = _sure(background, _BACKGROUND)
    own = [_mean_of(places, sure) for sure in (_sure(foreground, _FOREGROUND), sure_background)]
    return own[0], own[1], _adaptive(places, sure_background).unflatten(2, features.shape[-2:])


def _sure(probability: Tensor, threshold: float) -> Tensor:
    """Which of N places [B,N] are above a threshold; the most probable few where none is."""
    above = probability > threshold
    best = probability.topk(min(_FEWEST, probability.shape[1]), dim=1).indices
    fallback = torch.zeros_like(above).scatter(1, best, torch.ones_like(best, dtype=torch.bool))
    return torch.where(above.any(1, keepdim=True), above, fallback)


def _mean_of(places: Tensor, chosen: Tensor) -> Tensor:
    weights = chosen.to(places.dtype)
    return (torch.einsum("bcn,bn->bc", places, weights) / weights.sum(1, keepdim=True))[..., None, None]


def _adaptive(places: Tensor, chosen: Tensor) -> Tensor:
    """For each of N places [B,C,N], a mean of the chosen ones [B,N] by how alike they are (equation 5)."""
    directions = F.normalize(places, dim=1)
    alike = _SHARPNESS * directions.transpose(1, 2) @ directions
    weights = alike.masked_fill(~chosen.unsqueeze(1), -torch.inf).softmax(2)
    return places @ weights.transpose(1, 2)


@origin(
    encoder="ResNet-50, stages 1 to 3",
    code=_CODE,
    weights="`medtap convert` of an ImageNet ResNet-50 with torchvision's names",
    weights_licence="that of the backbone's weights",
)
def ssp_resnet50() -> FewShotSegmenter:
    """SSP on ResNet-50's third stage, before its last ReLU: nothing but the backbone has weights."""
    config = ResNetConfig(hidden_sizes=[256, 512, 1024], depths=[3, 4, 6])
    return SspSegmenter(resnet_blocks(config, (3,)), stride=16)


@origin(
    encoder="any backbone of transformers; ResNet-50 unless the card says which",
    code=_CODE,
    weights="`medtap.networks.ssp.load_ssp` of a folder with config.json and model.safetensors",
    weights_licence="that of the backbone's weights",
)
def ssp(backbone: Mapping[str, Any] | None = None, stride: int = 16) -> FewShotSegmenter:
    """SSP on any backbone of transformers, as the card's ``build`` describes it.

    Args:
        backbone: a transformers configuration, with its ``model_type``; ResNet-50's third stage when None.
        stride: of the backbone's last map, in pixels.
    """
    return SspSegmenter(backbone_encoder(backbone or _RESNET50), stride)


def load_ssp(folder: str | Path, stride: int = 16) -> SspSegmenter:
    """SSP on a pretrained backbone of transformers, frozen, in evaluation.

    ``save_network(network, folder, ssp_card(network))`` keeps it as a folder that ``load_network`` takes.

    Args:
        folder: see ``load_backbone``.
        stride: of the backbone's last map, in pixels.

    Raises:
        WeightsError: see ``load_backbone``.
    """
    network = SspSegmenter(load_backbone(folder), stride)
    network.name, network.source = "ssp", str(Path(folder).resolve())
    return network.eval().requires_grad_(False)


def ssp_card(network: SspSegmenter) -> dict[str, Any]:
    """What the zoo's card has to tell of SSP on a backbone of transformers, so that it can be built again."""
    config = cast("BackboneEncoder", network.encoder).backbone.config
    return {"build": {"backbone": {"model_type": config.model_type, **config.to_diff_dict()}, "stride": network.stride}}
