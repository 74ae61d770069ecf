"""The dilated ResNet: PSPNet's names and arithmetic."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medtap.networks.checkpoints.dilated_resnet import DILATED_RESNET
from medtap.networks.checkpoints.layout import translate, unknown_names
from medtap.networks.dilated_resnet import Bottleneck, dilated_resnet50
from tests.networks.official_prior_guided import FULL, WIDTHS, dilated_shapes, random_weights, tiny_encoder
from tests.networks.plain_prior_guided import plain_layers
from tests.tiny import random_images


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(65, 65), (49, 97), (60, 80)])
def test_official_weights_give_the_published_maps(height: int, width: int) -> None:
    weights, encoder = random_weights(dict(dilated_shapes())), tiny_encoder().eval()
    encoder.load_state_dict(translate(weights, DILATED_RESNET))
    images = random_images(2, height, width)
    found, published = encoder(images), plain_layers(weights, images)
    assert [level.shape[1] for level in found] == list(encoder.channels) == list(WIDTHS[1:])
    assert {level.shape[-2:] for level in found} == {torch.Size([-(-height // 8), -(-width // 8)])}
    for own, other in zip(found, published, strict=True):
        torch.testing.assert_close(own, other, atol=1e-5, rtol=1e-4)


def test_published_names_and_shapes_are_resnet50_s() -> None:
    shapes = dict(dilated_shapes(*FULL))
    with torch.device("meta"):
        encoder = dilated_resnet50()
        ours = translate({name: torch.empty(shape) for name, shape in shapes.items()}, DILATED_RESNET)
    assert unknown_names(shapes, DILATED_RESNET) == []
    found = {name: tensor.shape for name, tensor in encoder.state_dict().items()}
    assert found == {name: tensor.shape for name, tensor in ours.items()}


def test_layers_2_to_4_have_the_singular_values_of_svf_s_paper() -> None:
    with torch.device("meta"):
        layers = dilated_resnet50().named_modules()
    own = {name: layer for name, layer in layers if isinstance(layer, nn.Conv2d) and name[:6] in _LATE}
    counts = {name: min(layer.out_channels, layer.weight[0].numel()) for name, layer in own.items()}
    assert sum(counts.values()) == 12_544
    assert sum(count for name, count in counts.items() if "downsample" in name) == 1_792
    dilations = {layer.dilation for name, layer in own.items() if "layer4" in name and "conv2" in name}
    assert dilations == {(4, 4)}


_LATE = {"layer2", "layer3", "layer4"}


def test_a_block_that_keeps_its_size_has_no_convolution_beside_it() -> None:
    assert isinstance(Bottleneck(8, 8).downsample, nn.Identity)
    assert not isinstance(Bottleneck(8, 8, stride=2).downsample, nn.Identity)
