"""Encoders as pyramids."""

from __future__ import annotations

import pytest
import torch

from medtap.networks.encoders import IMAGENET_MEAN, IMAGENET_STD, convnextv2_atto
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
