"""The image path of SAM 2 without prompts: transformers' own masks, loading, and every adapter on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor

from medtap.adaptation import take_a_peek
from medtap.adapters import ADAPTERS, Lora, build_adapter
from medtap.errors import OptionError, WeightsError
from medtap.networks import load_network, save_network
from medtap.networks.encoders import normalise
from medtap.networks.sam import SamSegmenter, build_sam, load_sam
from medtap.tap_options import TapOptions
from tests.networks.tiny_sam import tiny_sam2, tiny_sam2_model
from tests.tiny import random_images, support_set


def logits(network: SamSegmenter, images: Tensor, label: int = 0) -> Tensor:
    return network.recall(network.encode(images), (torch.full((len(images), 1), float(label)),))


@torch.no_grad()
def test_mask_is_that_of_transformers_without_prompts() -> None:
    images = random_images(2)
    expected = tiny_sam2_model()(normalise(images), multimask_output=False).pred_masks[:, 0, 0]
    assert expected.std() > 1e-3
    background, foreground = logits(tiny_sam2(), images).unbind(1)
    torch.testing.assert_close(foreground - background, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_embedding_comes_last_of_its_maps() -> None:
    maps = tiny_sam2().encode(random_images(2, 48, 80))
    assert [tuple(level.shape) for level in maps] == [(2, 32, 16, 16), (2, 32, 8, 8), (2, 32, 4, 4)]


def test_gradients_reach_all_but_unused_parameters() -> None:
    for classes in (0, 2):
        network = tiny_sam2(classes).requires_grad_(True)
        logits(network, random_images(2), label=1)[:, 1].sum().backward()
        assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


@torch.no_grad()
def test_class_branch_has_a_mask_a_token() -> None:
    network = tiny_sam2(classes=2)
    embedding, *finer = reversed(network.encode(random_images(1)))
    tokens, masks = network.head.masks(embedding, *finer)
    assert tokens.shape == (1, 10, 32)
    assert masks.shape == (1, 10, 16, 16)
    assert network.head(embedding, *finer).shape == (1, 3, 16, 16)


@torch.no_grad()
@pytest.mark.parametrize("method", ADAPTERS)
def test_every_adapter_starts_exact_and_is_merged_as_it_was(method: str) -> None:
    network, images, adapter = tiny_sam2(), random_images(1), build_adapter(method)
    plain = logits(network, images)
    attached = adapter.attach(adapter.part(network))
    attached.reset(Generator().manual_seed(0))
    torch.testing.assert_close(logits(network, images), plain, atol=1e-5, rtol=1e-5)
    generator = Generator().manual_seed(1)
    for parameter in attached.parameters():
        parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    changed = logits(network, images)
    assert not torch.allclose(changed, plain, atol=1e-4)
    attached.merge()
    torch.testing.assert_close(logits(network, images), changed, atol=1e-4, rtol=1e-4)


def test_taking_a_peek_lowers_the_loss_and_what_it_gives_is_traced() -> None:
    options = TapOptions(passes=5, learning_rate=2e-2, views=0, guard="none")
    adapted = take_a_peek(tiny_sam2(), support_set(2), Lora(rank=8), options)
    losses, image = adapted.record.losses, random_images(1, seed=5)
    assert losses[-1] < 0.9 * losses[0]
    with torch.no_grad():
        traced = torch.jit.trace(adapted, image)
        torch.testing.assert_close(traced(image + 0.01), adapted(image + 0.01), rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["sam2", "sam2_video"])
def test_saved_weights_load_whether_of_images_or_of_videos(tmp_path: Path, kind: str) -> None:
    tiny_sam2_model(seed=3).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": kind}))
    images = random_images(1)
    assert torch.equal(logits(load_sam(tmp_path), images), logits(tiny_sam2(seed=3), images))


@torch.no_grad()
def test_zoo_saves_and_loads_it(tmp_path: Path) -> None:
    network = tiny_sam2(classes=2)
    save_network(network, tmp_path, {"build": network.build}, dtype=torch.float32)
    loaded, images = load_network(tmp_path), random_images(1)
    assert torch.equal(logits(loaded, images, 2), logits(network, images, 2))


def test_other_models_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(WeightsError, match="no SAM can be loaded; expected safetensors of a SAM or SAM 2"):
        load_sam(tmp_path)
    with pytest.raises(OptionError, match="no SAM is of that type; expected sam, sam2, sam2_video; found 'vit'"):
        build_sam({"model_type": "vit"})
