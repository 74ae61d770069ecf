"""Our EfficientNet-Lite, batch norms folded, against the published arithmetic."""

from __future__ import annotations

import pytest
import torch

from medtap.adapters import Lora
from medtap.networks.efficientnet_lite import EfficientNetLite, fold_published, scaled_stages
from medtap.networks.zoo import build_network
from tests.networks.published_efficientnet_lite import STAGES, published_maps, published_weights
from tests.tiny import random_images


def tiny() -> EfficientNetLite:
    encoder = EfficientNetLite([4, 6, 8], STAGES)
    encoder.load_state_dict(fold_published(published_weights(), encoder), strict=False)
    return encoder.eval()


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(64, 96), (67, 101), (66, 63)])
def test_published_weights_give_the_published_maps(height: int, width: int) -> None:
    images = random_images(2, height, width)
    expected = [published_maps(published_weights(), images)[number] for number in (1, 3, 5)]
    for own, theirs in zip(tiny().maps(images), expected, strict=True):
        torch.testing.assert_close(own, theirs, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_every_weight_of_the_backbone_is_published() -> None:
    encoder = tiny()
    own = {name: value.shape for name, value in encoder.state_dict().items() if not name.startswith("laterals")}
    assert own == {name: value.shape for name, value in fold_published(published_weights(), encoder).items()}


def test_a_missing_weight_is_named() -> None:
    published = published_weights()
    del published["_blocks.2._bn1.bias"]
    with pytest.raises(KeyError, match=r"_blocks\.2\._bn1\.bias"):
        fold_published(published, tiny())


@pytest.mark.parametrize(
    ("scale", "depths", "channels"),
    [
        ((1.0, 1.0), [1, 2, 2, 3, 3, 4, 1], [16, 24, 40, 80, 112, 192, 320]),
        ((1.0, 1.1), [1, 3, 3, 4, 4, 5, 1], [16, 24, 40, 80, 112, 192, 320]),
        ((1.1, 1.2), [1, 3, 3, 4, 4, 5, 1], [16, 24, 48, 88, 120, 208, 352]),
        ((1.2, 1.4), [1, 3, 3, 5, 5, 6, 1], [24, 32, 48, 96, 136, 232, 384]),
    ],
    ids=["Lite0", "Lite1", "Lite2", "Lite3"],
)
def test_larger_ones_have_the_published_shapes(
    scale: tuple[float, float], depths: list[int], channels: list[int]
) -> None:
    stages = scaled_stages(*scale)
    assert ([stage.depth for stage in stages], [stage.channels for stage in stages]) == (depths, channels)


@torch.no_grad()
def test_maps_of_medtap_lite_have_strides_2_to_32_and_the_channels_of_medtap_atto() -> None:
    encoder = build_network("medtap-lite").encoder
    maps = encoder(random_images(1, 100, 131))
    assert [tuple(level.shape[2:]) for level in maps] == [(50, 66), (25, 33), (13, 17), (7, 9), (4, 5)]
    assert [level.shape[1] for level in maps] == list(encoder.channels) == [16, 40, 80, 160, 320]
    assert list(encoder.channels) == list(build_network("medtap-atto").encoder.channels)


def test_lora_changes_its_pointwise_convolutions() -> None:
    attached = Lora(rank=4).attach(tiny())
    kinds = {name.rpartition(".")[2] for name in attached.layers() if name.startswith("stages")}
    assert kinds == {"expand", "project"}
