"""Parallel bottlenecks: where they go, what they add, how many values they train."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, nn
from torch.nn import functional as F
from transformers import ViTConfig, ViTModel

from medtap.adapters import ParallelAdapter
from medtap.adapters.bottleneck import Bottleneck, choose_blocks
from medtap.errors import OptionError
from tests.adapters.transformer import give_values, tiny_sam, tiny_swin, tiny_vit
from tests.tiny import random_images, tiny_encoder


def test_mlps_of_transformers_are_blocks() -> None:
    for encoder, count in ((tiny_vit(), 2), (tiny_swin(), 4), (tiny_sam(), 2)):
        blocks = choose_blocks(encoder, "auto")
        assert len(blocks) == count
        assert all(name.endswith(".mlp") for name in blocks)


def test_layers_are_blocks_where_there_is_no_mlp_or_they_are_named() -> None:
    assert [name.rpartition(".")[2] for name in choose_blocks(tiny_encoder(), "auto")] == ["pwconv1", "pwconv2"] * 4
    assert len(choose_blocks(tiny_vit(), "re:fc1$")) == 2
    in_a_row = nn.ModuleDict({"mlp": nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))})
    assert choose_blocks(in_a_row, "auto") == ["mlp.0", "mlp.2"]


@torch.no_grad()
def test_it_adds_what_the_formula_says() -> None:
    encoder, tokens = tiny_vit(), torch.randn((2, 6, 16), generator=Generator().manual_seed(0))
    mlp = encoder.get_submodule(choose_blocks(encoder, "auto")[0])
    before = mlp(tokens)
    give_values(ParallelAdapter(width=6).attach(encoder))
    own = mlp.bottleneck
    normed = F.layer_norm(tokens, (16,), own.norm.weight, own.norm.bias)
    narrow = F.relu(F.linear(normed, own.down.weight, own.down.bias))
    torch.testing.assert_close(mlp(tokens), before + F.linear(narrow, own.up.weight, own.up.bias))


@torch.no_grad()
def test_a_convolution_is_a_block_with_its_stride() -> None:
    encoder, maps = nn.Sequential(nn.Conv2d(5, 7, 1, stride=2)).eval(), random_images(2, 9, 6).repeat(1, 2, 1, 1)[:, :5]
    before = encoder(maps)
    give_values(ParallelAdapter(width=6).attach(encoder))
    added = encoder[0].bottleneck(maps[:, :, ::2, ::2].permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(encoder(maps), before + added)


@torch.no_grad()
def test_train_switches_its_dropout_alone() -> None:
    encoder, images = tiny_vit(), random_images(1, 32)
    attached = ParallelAdapter(dropout=0.5).attach(encoder)
    give_values(attached)
    still = encoder(images).feature_maps[-1]
    attached.train()
    switched = {name for name, part in encoder.named_modules() if part.training}
    assert switched
    assert all(".bottleneck" in name for name in switched)
    assert not torch.equal(encoder(images).feature_maps[-1], still)
    attached.train(False)
    assert torch.equal(encoder(images).feature_maps[-1], still)


@torch.no_grad()
def test_reset_gives_zeros_from_the_generator_alone() -> None:
    branch = Bottleneck((5, 7), 4, 0.1).eval()
    for parameter in branch.parameters():
        parameter.fill_(9.0)
    branch.reset(Generator().manual_seed(3))
    first = branch.down.weight.clone()
    assert not branch(torch.randn(3, 5)).any()
    assert branch.norm.weight.tolist() == [1.0] * 5
    assert 0.5 / 5**0.5 < first.abs().max() <= 1 / 5**0.5
    branch.reset(Generator().manual_seed(3))
    assert torch.equal(branch.down.weight, first)


def test_number_of_parameters_on_vit_b() -> None:
    with torch.device("meta"):
        encoder = ViTModel(ViTConfig(), add_pooling_layer=False)
    assert sum(parameter.numel() for parameter in ParallelAdapter().attach(encoder).parameters()) == 322_752


def test_numbers_out_of_range_are_refused_all_at_once() -> None:
    with pytest.raises(OptionError, match=r"a width of at least 1, not 0; a dropout in \[0, 1\), not 1"):
        ParallelAdapter(width=0, dropout=1)
