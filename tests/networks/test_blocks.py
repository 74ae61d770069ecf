"""Block encoders: every block's map, read while the backbone runs."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import ResNetModel

from medtap.networks.blocks import BlockEncoder, resnet50_blocks, swin_b_blocks
from medtap.networks.encoders import normalise
from medtap.networks.segmenter import share_weights
from tests.networks.tiny_blocks import tiny_resnet, tiny_swin
from tests.tiny import random_images


def hooks(encoder: BlockEncoder) -> int:
    return sum(len(module._forward_hooks) for module in encoder.modules())


def test_resnet_maps_are_what_the_last_relu_of_each_bottleneck_gets() -> None:
    encoder, images = tiny_resnet(), random_images(2)
    maps = encoder(images)
    stages = encoder.backbone(normalise(images), output_hidden_states=True).hidden_states[1:]
    for stage, last in zip(stages, (1, 2, 4, 5), strict=True):
        torch.testing.assert_close(maps[last].relu(), stage)
        assert (maps[last] < 0).any()
    following = encoder.backbone.encoder.stages[0].layers[1]
    residual = following.layer(maps[0].relu()) + maps[0].relu()
    torch.testing.assert_close(residual, maps[1])


def test_swin_maps_come_before_patch_merging() -> None:
    encoder, images = tiny_swin(), random_images(1, 96)
    maps = encoder(images)
    options = {"output_hidden_states": True, "output_hidden_states_before_downsampling": True}
    stages = encoder.backbone(normalise(images), always_partition=True, **options).reshaped_hidden_states[1:]
    for stage, last in zip(stages, (0, 2, 4, 6), strict=True):
        torch.testing.assert_close(maps[last], stage)


@pytest.mark.parametrize("build", [tiny_resnet, tiny_swin])
@pytest.mark.parametrize(("height", "width"), [(64, 96), (48, 64), (96, 64), (72, 40)])
def test_strides_are_4_to_32(build, height: int, width: int) -> None:
    encoder = build()
    maps = iter(encoder(random_images(1, height, width)))
    for stride, channels, depth in zip((4, 8, 16, 32), encoder.channels, encoder.depths, strict=True):
        for _ in range(depth):
            assert next(maps).shape == (1, channels, -(-height // stride), -(-width // stride))
    assert next(maps, None) is None


def test_some_stages_alone() -> None:
    encoder = tiny_resnet((2, 4))
    assert (encoder.depths, encoder.channels) == ((1, 1), (16, 32))
    whole = copy.deepcopy(tiny_resnet())
    whole.load_state_dict(encoder.state_dict())
    maps = whole(random_images(1))
    for found, expected in zip(encoder(random_images(1)), (maps[2], maps[5]), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("side", [4, 20, 33, 67])
def test_swin_of_another_size_leaves_no_trace(side: int) -> None:
    encoder, images = tiny_swin(), random_images(1, 96)
    before = encoder(images)
    assert all(level.isfinite().all() for level in encoder(random_images(1, side)))
    assert all(torch.equal(*pair) for pair in zip(before, encoder(images), strict=True))


def test_swin_shifts_no_window_where_a_map_was_one_window_in_training() -> None:
    shifts = [[block.shift_size for block in stage.blocks] for stage in tiny_swin().backbone.encoder.layers]
    assert shifts == [[0], [0, 1], [0, 1], [0, 0]]


def test_no_hook_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = tiny_resnet()
    encoder(random_images(1))
    assert hooks(encoder) == 0
    monkeypatch.setattr(ResNetModel, "forward", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        encoder(random_images(1))
    assert hooks(encoder) == 0


def test_copies_read_their_own_blocks() -> None:
    encoder, images = tiny_resnet(), random_images(1)
    for other in (copy.deepcopy(encoder), share_weights(encoder)):
        assert all(torch.equal(*pair) for pair in zip(other(images), encoder(images), strict=True))
    changed = copy.deepcopy(encoder)
    torch.nn.init.zeros_(changed.backbone.embedder.embedder.convolution.weight)
    assert not torch.equal(changed(images)[0], encoder(images)[0])


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("build", [tiny_resnet, tiny_swin])
def test_torchscript_traces_it(build) -> None:
    encoder = build()
    traced = torch.jit.trace(encoder, random_images(1), check_trace=False)
    with torch.no_grad():
        for found, expected in zip(traced(random_images(2, seed=1)), encoder(random_images(2, seed=1)), strict=True):
            torch.testing.assert_close(found, expected)


def test_published_sizes() -> None:
    with torch.device("meta"):
        resnet, swin = resnet50_blocks(), swin_b_blocks()
    assert (resnet.depths, resnet.channels) == ((4, 6, 3), (512, 1024, 2048))
    assert (swin.depths, swin.channels) == ((2, 2, 18, 2), (128, 256, 512, 1024))
    assert sum(parameter.numel() for parameter in resnet.parameters()) == pytest.approx(23.5e6, rel=1e-3)
    assert sum(parameter.numel() for parameter in swin.parameters()) == pytest.approx(86.9e6, rel=1e-3)
