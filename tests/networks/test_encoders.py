"""Encoders as pyramids."""

from __future__ import annotations

import pytest
import torch

from medtap.errors import OptionError
from medtap.networks.encoders import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    BackboneEncoder,
    backbone_encoder,
    convnextv2_atto,
    fit_to_patches,
    normalise,
)
from tests.tiny import random_images, tiny_encoder


def test_maps_of_strides_2_to_32() -> None:
    maps = tiny_encoder().eval()(random_images(2, 64, 96))
    assert [tuple(level.shape) for level in maps] == [
        (2, 8, 32, 48),
        (2, 8, 16, 24),
        (2, 16, 8, 12),
        (2, 24, 4, 6),
        (2, 32, 2, 3),
    ]


def test_odd_sizes_round_the_finest_up_and_the_others_down() -> None:
    maps = tiny_encoder().eval()(random_images(1, 67, 101))
    assert [tuple(level.shape[-2:]) for level in maps] == [(34, 51), (16, 25), (8, 12), (4, 6), (2, 3)]


def test_images_are_normalised_inside() -> None:
    encoder = tiny_encoder().eval()
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (IMAGENET_MEAN, IMAGENET_STD))
    images = random_images(1)
    expected = encoder.backbone((images - mean) / std).feature_maps
    for level, reference in zip(encoder(images)[1:], expected, strict=True):
        torch.testing.assert_close(level, reference)


def test_atto_has_the_published_widths() -> None:
    encoder = convnextv2_atto()
    assert encoder.channels == (16, 40, 80, 160, 320)
    backbone = sum(parameter.numel() for parameter in encoder.backbone.parameters())
    assert backbone == pytest.approx(3.4e6, rel=0.02)


TINY_BACKBONES = {
    "resnet": {"embedding_size": 4, "hidden_sizes": [8, 8, 8], "depths": [1, 1, 1]},
    "convnextv2": {"hidden_sizes": [8, 8, 8], "depths": [1, 1, 1], "num_stages": 3},
    "swin": {"embed_dim": 8, "depths": [1, 1, 1], "num_heads": [1, 1, 1], "window_size": 3},
    "dinov2": {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 56, "patch_size": 14},
    "vitdet": {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 64, "patch_size": 16},
}


def tiny_backbone(kind: str, **more: object) -> BackboneEncoder:
    return backbone_encoder({"model_type": kind, **TINY_BACKBONES[kind], **more}).eval()


@pytest.mark.parametrize("kind", TINY_BACKBONES)
@pytest.mark.parametrize(("height", "width"), [(112, 84), (75, 101)])
def test_any_backbone_at_any_size(kind: str, height: int, width: int) -> None:
    encoder = tiny_backbone(kind)
    (level,) = encoder(random_images(2, height, width))
    stride = 14 if kind == "dinov2" else 16
    assert level.shape[:2] == (2, encoder.channels[-1])
    assert level.isfinite().all()
    for found, side in zip(level.shape[-2:], (height, width), strict=True):
        assert abs(found - side / stride) < 1


def test_pyramids_run_fine_to_coarse() -> None:
    encoder = tiny_backbone("resnet", out_features=["stage1", "stage2", "stage3"])
    assert [level.shape[-1] for level in encoder(random_images(1))] == [16, 8, 4]
    assert encoder.channels == (8, 8, 8)


def test_backbones_get_normalised_whole_patches() -> None:
    encoder = tiny_backbone("dinov2")
    images = random_images(1, 60, 48)
    expected = encoder.backbone(fit_to_patches(normalise(images), 14)).feature_maps[0]
    torch.testing.assert_close(encoder(images)[0], expected)
    assert fit_to_patches(images, 14).shape[-2:] == (56, 42)
    assert fit_to_patches(images, 12) is images
    assert fit_to_patches(random_images(1, 3), 14).shape[-2:] == (14, 14)


def test_position_encodings_are_interpolated() -> None:
    encoder = tiny_backbone("dinov2")
    embeddings = encoder.backbone.embeddings
    torch.nn.init.zeros_(embeddings.patch_embeddings.projection.weight)
    torch.nn.init.zeros_(embeddings.patch_embeddings.projection.bias)
    places = torch.linspace(0, 1, 4).view(1, 4, 1, 1).expand(1, 4, 4, 8)  # grows from the top to the bottom
    embeddings.position_embeddings.data[:, 1:] = places.flatten(1, 2)
    tokens = embeddings(torch.zeros(1, 3, 112, 84))[:, 1:].view(8, 6, 8)
    torch.testing.assert_close(tokens[:, 0], tokens[:, 5])
    assert (tokens[1:, 0, 0] > tokens[:-1, 0, 0]).all()


def test_unknown_backbones_are_refused() -> None:
    with pytest.raises(OptionError, match=r"no backbone of transformers is of type 'bert'; expected one of .*resnet"):
        backbone_encoder({"model_type": "bert"})
    with pytest.raises(OptionError, match="is of type None"):
        backbone_encoder({})
