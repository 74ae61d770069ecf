"""Our ConvNeXt V2 against transformers'."""

from __future__ import annotations

import pytest
import torch
from transformers import ConvNextV2Backbone, ConvNextV2Config

from medtap.networks.convnext import ConvNextV2

WIDTHS, DEPTHS = [8, 16, 24], [1, 2, 1]


def reference() -> ConvNextV2Backbone:
    stages = ["stage1", "stage2", "stage3"]
    config = ConvNextV2Config(hidden_sizes=WIDTHS, depths=DEPTHS, num_stages=3, out_features=stages)
    return ConvNextV2Backbone(config).eval()


@torch.no_grad()
@pytest.mark.parametrize("shape", [(2, 3, 64, 96), (1, 3, 67, 101)])
def test_weights_of_transformers_fit_and_give_the_same_bits(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    expected, own = reference(), ConvNextV2(WIDTHS, DEPTHS).eval()
    for parameter in expected.parameters():
        parameter.add_(0.1 * torch.randn(parameter.shape))
    assert list(own.state_dict()) == list(expected.state_dict())
    own.load_state_dict(expected.state_dict())
    images = torch.rand(shape)
    maps = own(images).feature_maps
    assert [level.shape[1] for level in maps] == own.channels == WIDTHS
    assert all(torch.equal(*pair) for pair in zip(maps, expected(images).feature_maps, strict=True))


def test_initial_values_are_drawn_as_transformers_draws_them() -> None:
    torch.manual_seed(0)
    drawn = dict(ConvNextV2([64, 128], [1, 1]).named_parameters())
    for name, expected in reference().named_parameters():
        own = drawn.get(name)
        if own is None:
            continue
        constant = bool((expected == expected.flatten()[0]).all())
        assert bool((own == own.flatten()[0]).all()) == constant, name
        assert own.std().item() == pytest.approx(expected.std().item(), rel=0.25, abs=1e-9), name
        assert own.mean().item() == pytest.approx(expected.mean().item(), abs=0.01), name
