"""SSP, self-support prototypes (Fan et al., ECCV 2022): no weights of its own, so it serves on any backbone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import ResNetConfig

from medtap.networks.blocks import resnet_blocks
from medtap.networks.encoders import backbone_encoder, load_backbone
from medtap.networks.origin import origin
from medtap.networks.segmenter import Features, FewShotSegmenter, Memory
from medtap.networks.self_support_resnet import self_support_resnet50

_CODE = "written afresh for medtap (Apache-2.0)"
_SCALE = 10.0  # of cosines, to make them logits
_SHARPNESS = 2.0  # of cosines between places of a query
_FOREGROUND, _BACKGROUND = 0.7, 0.6  # probabilities from which a place supports its own picture
_FEWEST = 12  # places that support it where none is so sure
_RESNET50 = {"model_type": "resnet", "hidden_sizes": [256, 512, 1024], "depths": [3, 4, 6]}
_OWN_FOREGROUND, _OWN_BACKGROUND = 0.5, 0.3  # weights of the query's own prototypes
_REFINED = (0.5, 0.2, 0.3)  # weights of the support set's prototypes, the query's, and those of its segmentation
_LAST = 0.7  # weight of the logits of these


class SspSegmenter(FewShotSegmenter):
    """Self-support matching on the last map of an encoder.

    The support set's prototypes segment the query, the sure places of that segmentation give prototypes of the query's
    own (its background's adapted to every place), and these segment it again (sections 3.2 to 3.4).

    Args:
        encoder: gives maps; the last one is used.
        refined: whether the query's prototypes are drawn a second time, from its segmentation by the first ones.
    """

    aligned = True

    def __init__(self, encoder: nn.Module, *, refined: bool = False) -> None:
        super().__init__()
        self.encoder, self.refined = encoder, refined

    def encode(self, images: Tensor) -> Features:
        """Encode images [B,3,H,W] in [0,1] into one map."""
        return (self.encoder(images)[-1],)

    def remember(self, support: Features, support_masks: Tensor) -> Memory:
        """Keep each shot's prototypes of foreground and background, both [B,K,C]."""
        grid = support[0].shape[-2:]
        masks = F.interpolate(support_masks, size=grid, mode="bilinear", align_corners=True)
        return masked_mean(support[0], masks), masked_mean(support[0], 1 - masks)

    def recall(self, query: Features, memory: Memory) -> Tensor:
        """Match a map [B,C,h,w] with prototypes [B,K,C] twice, or three times where refined; logits [B,2,h,w]."""
        features = query[0]
        foreground, background = (kept.mean(1)[..., None, None] for kept in memory)
        coarse = prototype_logits(features, background, foreground)
        own = query_prototypes(features, coarse, foreground)
        logits = prototype_logits(features, *own)
        if not self.refined:
            return logits
        each = zip((background, foreground), own, query_prototypes(features, logits, foreground), strict=True)
        background, foreground = (_mixed(*parts) for parts in each)
        return _LAST * prototype_logits(features, background, foreground) + (1 - _LAST) * logits


def _mixed(support: Tensor, own: Tensor, again: Tensor) -> Tensor:
    """A prototype of the support set, of the query, and of the query's segmentation by that, weighted."""
    return _REFINED[0] * support + _REFINED[1] * own + _REFINED[2] * again


def masked_mean(maps: Tensor, masks: Tensor) -> Tensor:
    """Means [B,K,C] of maps [B,K,C,h,w] weighted by masks [B,K,h,w]; next to 0 where a mask is empty."""
    sums = torch.einsum("bkchw,bkhw->bkc", maps, masks)
    return sums / (masks.sum((2, 3)).unsqueeze(2) + 1e-5)


def prototype_logits(features: Tensor, background: Tensor, foreground: Tensor) -> Tensor:
    """Scaled cosines [B,2,h,w] of features [B,C,h,w] to prototypes [B,C,1,1] or, place by place, [B,C,h,w]."""
    cosines = [F.cosine_similarity(features, prototype, dim=1) for prototype in (background, foreground)]
    return _SCALE * torch.stack(cosines, dim=1)


def query_prototypes(features: Tensor, logits: Tensor, foreground: Tensor) -> tuple[Tensor, Tensor]:
    """A query's prototypes by a segmentation of it (equations 6 and 7).

    Args:
        features: maps [B,C,h,w].
        logits: of background and foreground, [B,2,h,w].
        foreground: the support set's prototype [B,C,1,1].

    Returns:
        The background's [B,C,h,w], place by place, and the foreground's [B,C,1,1], joined with the support set's.
    """
    own_foreground, own_background, adaptive = self_support(features, logits.softmax(1))
    joined = (1 - _OWN_FOREGROUND) * foreground + _OWN_FOREGROUND * own_foreground
    return _OWN_BACKGROUND * own_background + (1 - _OWN_BACKGROUND) * adaptive, joined


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
    return SspSegmenter(resnet_blocks(config, (3,)))


@origin(
    encoder="ResNet-50, stages 1 to 3, dilated",
    code=_CODE,
    weights="`medtap convert` of a checkpoint from https://github.com/fanq15/SSP",
    weights_licence="not stated",
)
def ssp_dilated_resnet50(*, refined: bool = True) -> FewShotSegmenter:
    """SSP as published, on a dilated ResNet-50 with a deep stem that was trained with it, 473 px.

    Args:
        refined: the published "SSP refine", with which the checkpoints called SSP were trained, its baseline's not.
    """
    network = SspSegmenter(self_support_resnet50(), refined=refined)
    network.size = 473
    return network


@origin(
    encoder="any backbone of transformers; ResNet-50 unless the card says which",
    code=_CODE,
    weights="`medtap.networks.ssp.load_ssp` of a folder with config.json and model.safetensors",
    weights_licence="that of the backbone's weights",
)
def ssp(backbone: Mapping[str, Any] | None = None) -> FewShotSegmenter:
    """SSP on any backbone of transformers, as the card's ``build`` describes it.

    Args:
        backbone: a transformers configuration, with its ``model_type``; ResNet-50's third stage when None.
    """
    return SspSegmenter(backbone_encoder(backbone or _RESNET50))


def load_ssp(folder: str | Path) -> SspSegmenter:
    """SSP on a pretrained backbone of transformers, frozen, in evaluation; ``save_network`` keeps it.

    Args:
        folder: see ``load_backbone``.

    Raises:
        WeightsError: see ``load_backbone``.
    """
    encoder = load_backbone(folder)
    network, config = SspSegmenter(encoder), encoder.backbone.config
    network.name, network.source = "ssp", str(Path(folder).resolve())
    network.build = {"backbone": {"model_type": config.model_type, **config.to_diff_dict()}}
    return network.eval().requires_grad_(False)
