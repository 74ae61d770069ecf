"""Flips of the inferer, on images and on volumes."""

from __future__ import annotations

import pytest
import torch

from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapted import AdaptedSegmenter
from medtap.adapters import Lora
from medtap.errors import OptionError
from medtap.inference import PlaneInferer, input_size
from tests.tiny import random_images, support_set, tiny_network


@pytest.fixture(scope="module")
def adapted() -> AdaptedSegmenter:
    return take_a_peek(tiny_network(), support_set(3, 2), Lora(rank=2), TapOptions(passes=1))


@pytest.mark.parametrize("flips", ["horizontal", "both"])
def test_mirrored_image_of_any_size_gets_the_mirrored_prediction(adapted: AdaptedSegmenter, flips: str) -> None:
    image, inferer = random_images(1, 50, 38), PlaneInferer(64, flips=flips)
    found = inferer(image, adapted)
    assert found.shape == (1, 3, 50, 38)
    torch.testing.assert_close(inferer(image.flip(-1), adapted), found.flip(-1), atol=1e-4, rtol=1e-3)
    plain = PlaneInferer(64)
    assert not torch.allclose(plain(image.flip(-1), adapted), plain(image, adapted).flip(-1), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("batch_size", [2, 8])
def test_volume_equals_its_planes(adapted: AdaptedSegmenter, batch_size: int) -> None:
    volume = random_images(5, 40, 30).movedim(0, -1)[None]
    found = PlaneInferer(64, batch_size, flips="both")(volume, adapted)
    for plane in range(5):
        alone = PlaneInferer(64, flips="both")(volume[..., plane], adapted)
        torch.testing.assert_close(found[..., plane].float(), alone, atol=2e-3, rtol=2e-3)


def test_none_is_the_default(adapted: AdaptedSegmenter) -> None:
    image = random_images(1, 50, 38)
    assert torch.equal(PlaneInferer(64, flips="none")(image, adapted), PlaneInferer(64)(image, adapted))


def test_unknown_flips_are_refused() -> None:
    with pytest.raises(OptionError, match=r"unknown flips; expected none, horizontal, both; .*did you mean horizontal"):
        PlaneInferer(64, flips="horizontally")


@pytest.mark.parametrize("size", [32, 48, 96, 100])
def test_network_adapted_at_one_size_segments_at_another(adapted: AdaptedSegmenter, size: int) -> None:
    seen = []

    def network(images: torch.Tensor) -> torch.Tensor:
        seen.append(images.shape[-2:])
        return adapted(images)

    logits = PlaneInferer(size)(random_images(1, 70, 50), network)
    assert seen == [(size, size)]
    assert logits.shape == (1, 3, 70, 50)
    assert logits.isfinite().all()


def test_input_is_as_large_as_asked_for_or_its_own() -> None:
    assert (input_size(None, 256), input_size(400, 256), input_size(32, 256)) == (256, 400, 32)
    with pytest.raises(OptionError, match="the input is too small to be segmented; expected 32 px or more; found 31"):
        input_size(31, 256)
