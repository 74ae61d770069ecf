"""Encoders: transformers backbones as feature pyramids, normalised inside."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from transformers import ConvNextV2Backbone, ConvNextV2Config, PreTrainedModel

from medtap.networks.segmenter import Features

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class PyramidEncoder(nn.Module):
    """A transformers backbone as a pyramid, with a shallow branch for detail above it.

    Args:
        backbone: a backbone whose ``feature_maps`` run fine to coarse.
        detail_channels: channels of the stride-2 map.
    """

    def __init__(self, backbone: PreTrainedModel, detail_channels: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.detail = nn.Sequential(
            nn.Conv2d(3, detail_channels, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(detail_channels, detail_channels, 3, padding=1),
        )
        self.channels = (detail_channels, *cast("list[int]", backbone.channels))

    def forward(self, images: Tensor) -> Features:
        """Encode images [B,3,H,W] in [0,1] into maps of stride 2 (detail) and the backbone's strides."""
        mean = images.new_tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
        std = images.new_tensor(IMAGENET_STD).view(1, 3, 1, 1)
        images = (images - mean) / std
        maps: Features = self.backbone(images).feature_maps
        return (self.detail(images), *maps)


def convnextv2_atto() -> PyramidEncoder:
    """ConvNeXtV2-atto (Woo et al., CVPR 2023): widths 40 to 320, depths 2, 2, 6, 2; maps at strides 2, 4, 8, 16, 32."""
    config = ConvNextV2Config(
        hidden_sizes=[40, 80, 160, 320],
        depths=[2, 2, 6, 2],
        out_features=["stage1", "stage2", "stage3", "stage4"],  # type: ignore[call-arg]
    )
    return PyramidEncoder(ConvNextV2Backbone(config), detail_channels=16)
