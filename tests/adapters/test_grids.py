"""The rows and columns that tokens lie on, on images that are not square."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from medtap.adapters.grids import TokenGrid, follow_grids, map_of_tokens, tokens_of_map
from medtap.errors import OptionError
from tests.adapters.transformer import tiny_swin, tiny_vit
from tests.tiny import random_images, tiny_encoder


def seen_grids(encoder: nn.Module, height: int, width: int) -> dict[str, tuple[int, int] | None]:
    """The grid of every Linear layer while it runs, by its name."""
    layers = {name: layer for name, layer in encoder.named_modules() if isinstance(layer, nn.Linear)}
    grids, _ = follow_grids(encoder, layers)
    seen: dict[str, tuple[int, int] | None] = {}
    for name, layer in layers.items():
        layer.register_forward_pre_hook(lambda _, __, name=name: seen.update({name: grids[name].size}))
    with torch.no_grad():
        encoder(random_images(1, height, width))
    assert seen.keys() == layers.keys()
    return seen


def test_patches_of_a_vision_transformer() -> None:
    assert set(seen_grids(tiny_vit(), 24, 40).values()) == {(3, 5)}
    assert set(seen_grids(tiny_vit(), 27, 47).values()) == {(3, 5)}


def test_windows_and_maps_of_swin() -> None:
    seen = seen_grids(tiny_swin(), 20, 36)  # 5 x 9 patches, then 3 x 5
    for name, grid in seen.items():
        if ".attention." in name:
            assert grid == (4, 4)
        elif "downsample" in name:
            assert grid == (3, 5)
        else:
            assert grid == ((5, 9) if ".layers.0." in name else (3, 5))
    assert any("downsample" in name for name in seen)


def test_a_named_image_is_seen_too() -> None:
    encoder = tiny_vit()
    grids, _ = follow_grids(encoder, ["encoder.layer.0.mlp.fc1"])
    with torch.no_grad():
        encoder(pixel_values=random_images(1, 24, 40))
    assert grids["encoder.layer.0.mlp.fc1"].size == (3, 5)


def test_grids_without_patches_stay_unknown() -> None:
    encoder = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4))
    grids, hooks = follow_grids(encoder, ["0", "1"])
    encoder(torch.zeros(1, 6, 3))
    assert [grid.size for grid in grids.values()] == [None, None]
    assert len(hooks) == 1
    with pytest.raises(OptionError, match="it is not known what grid the tokens of a layer lie on; expected Swin"):
        map_of_tokens(torch.zeros(1, 6, 3), grids["0"])


def test_layers_of_one_part_share_a_grid_and_hooks_go_away() -> None:
    encoder = tiny_vit()
    names = [f"encoder.layer.{index}.mlp.fc1" for index in range(2)]
    grids, hooks = follow_grids(encoder, names)
    assert grids[names[0]] is grids[names[1]]
    assert len(hooks) == len(encoder._forward_pre_hooks) == 1
    hooks[0].remove()
    assert not encoder._forward_pre_hooks


def test_a_copy_sees_for_itself() -> None:
    encoder = tiny_vit()
    grids, _ = follow_grids(encoder, ["encoder.layer.0.mlp.fc1"])
    with torch.no_grad():
        copy.deepcopy(encoder)(random_images(1, 24, 40))
    assert grids["encoder.layer.0.mlp.fc1"].size is None


def test_the_part_that_tells_holds_the_layer() -> None:
    encoder = nn.Sequential(tiny_encoder(), nn.Linear(3, 4))
    follow_grids(encoder, ["0.backbone.encoder.stages.0.layers.0.pwconv1", "1"])
    told = [name for name, part in encoder.named_modules() if part._forward_pre_hooks]
    assert told == ["", "0.backbone"]


def grid_of(rows: int, columns: int) -> TokenGrid:
    grid = TokenGrid()
    grid.size = rows, columns
    return grid


def numbered_tokens(count: int) -> Tensor:
    return torch.arange(count, dtype=torch.float32).view(1, count, 1)


@pytest.mark.parametrize("prefix", [0, 1, 3])
def test_tokens_become_maps_and_tokens_again(prefix: int) -> None:
    tokens = numbered_tokens(prefix + 6)
    maps = map_of_tokens(tokens, grid_of(2, 3))
    assert (maps[0, 0] - prefix).tolist() == [[0, 1, 2], [3, 4, 5]]
    back = tokens_of_map(maps, prefix + 6)
    assert torch.equal(back[:, prefix:], tokens[:, prefix:])
    assert back.shape == tokens.shape
    assert not back[:, :prefix].any()


def test_too_few_tokens_are_refused() -> None:
    with pytest.raises(OptionError, match="do not fill their grid; expected 2 x 3; found 5 tokens"):
        map_of_tokens(numbered_tokens(5), grid_of(2, 3))
