"""Encoders: backbones as feature pyramids, normalised inside; transformers is imported where its own are built."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn
from torch.nn import functional as F

from medtap.errors import OptionError, WeightsError
from medtap.networks.convnext import ConvNextV2
from medtap.networks.segmenter import Features

if TYPE_CHECKING:
    from transformers import PreTrainedModel

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalise(images: Tensor) -> Tensor:
    """Bring images [B,3,H,W] in [0,1] to ImageNet's mean 0 and standard deviation 1 a channel."""
    mean = images.new_tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
    std = images.new_tensor(IMAGENET_STD).view(1, 3, 1, 1)
    return (images - mean) / std


def fit_to_patches(images: Tensor, patch: int) -> Tensor:
    """Resize images [B,3,H,W] bilinearly to the nearest height and width that are whole patches of this side."""
    height, width = (max(1, round(int(side) / patch)) * patch for side in images.shape[-2:])
    if (height, width) == tuple(images.shape[-2:]):
        return images
    return F.interpolate(images, size=(height, width), mode="bilinear", align_corners=False)


class PyramidEncoder(nn.Module):
    """A backbone as a pyramid, with a shallow branch for detail above it.

    Args:
        backbone: our own, or one of transformers, whose ``feature_maps`` run fine to coarse.
        detail_channels: channels of the stride-2 map.
    """

    def __init__(self, backbone: ConvNextV2 | PreTrainedModel, detail_channels: int) -> None:
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
        images = normalise(images)
        maps: Features = self.backbone(images).feature_maps
        return (self.detail(images), *maps)


class BackboneEncoder(nn.Module):
    """Any transformers backbone as the maps it gives, normalised inside.

    Images are resized to whole patches first, since backbones that cut them into patches pad or crop the rest; position
    encodings are interpolated to the images' size by the backbone.

    Args:
        backbone: gives ``feature_maps``, fine to coarse.
        patch: side in pixels of its patches; 1 where convolutions overlap.
    """

    def __init__(self, backbone: PreTrainedModel, patch: int = 1) -> None:
        super().__init__()
        self.backbone, self.patch = backbone, patch
        self.channels = tuple(cast("list[int]", backbone.channels))

    def forward(self, images: Tensor) -> Features:
        """Encode images [B,3,H,W] in [0,1] into the backbone's maps [B,C,h,w]."""
        return tuple(self.backbone(fit_to_patches(normalise(images), self.patch)).feature_maps)


def backbone_encoder(config: Mapping[str, Any]) -> BackboneEncoder:
    """Build the encoder that a transformers configuration describes, such as ResNet, ConvNeXtV2, Swin or DINOv2.

    Args:
        config: with its ``model_type`` and, for other maps than the last, its ``out_features``.

    Raises:
        OptionError: transformers has no backbone of that type.
    """
    from transformers import AutoBackbone, AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING_NAMES

    if config.get("model_type") not in MODEL_FOR_BACKBONE_MAPPING_NAMES:
        raise OptionError(
            f"no backbone of transformers is of type {config.get('model_type')!r}",
            expected=f"one of {', '.join(sorted(MODEL_FOR_BACKBONE_MAPPING_NAMES))}",
        )
    return _around(AutoBackbone.from_config(AutoConfig.for_model(**config)))


def load_backbone(folder: str | Path) -> BackboneEncoder:
    """Load a pretrained backbone from a folder with ``config.json`` and ``model.safetensors``, as on the hub.

    Args:
        folder: of any model that has such a backbone, a classifier too.

    Raises:
        WeightsError: there is no such folder, or its weights are no safetensors or do not fit.
    """
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING

    try:
        config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
        kind = cast("Any", MODEL_FOR_BACKBONE_MAPPING[type(config)])
        backbone, told = kind.from_pretrained(
            str(folder), use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        expected = "a folder with config.json and model.safetensors of a transformers backbone"
        raise WeightsError("no backbone can be loaded", file=folder, expected=expected) from error
    missing = sorted(told["missing_keys"])
    if missing:
        raise WeightsError("the weights are not those of the backbone", file=folder, found=f"none for {missing[0]!r}")
    return _around(backbone)


def _around(backbone: PreTrainedModel) -> BackboneEncoder:
    patch = backbone.config.to_dict().get("patch_size", 1)
    return BackboneEncoder(backbone, patch if isinstance(patch, int) else 1)


def convnextv2_atto() -> PyramidEncoder:
    """ConvNeXtV2-atto (Woo et al., CVPR 2023): widths 40 to 320, depths 2, 2, 6, 2; maps at strides 2, 4, 8, 16, 32."""
    return PyramidEncoder(ConvNextV2([40, 80, 160, 320], [2, 2, 6, 2]), detail_channels=16)
