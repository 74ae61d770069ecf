"""SAM without prompts: transformers' own masks, the class branch, windows, and adapting to a support set."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapted import load_adapted
from medtap.adapters import Lora
from medtap.errors import OptionError, WeightsError
from medtap.networks import load_network, save_network
from medtap.networks.classes import recall_classes
from medtap.networks.encoders import IMAGENET_MEAN, IMAGENET_STD
from medtap.networks.sam import SamSegmenter, build_sam, load_sam
from medtap.networks.sam_head import class_logits, repeated
from medtap.networks.sam_sizes import SAM_SIZES, load_published_sam, sam_vit_b
from tests.networks.tiny_sam import tiny_sam, tiny_sam_config, tiny_sam_model
from tests.tiny import random_images, support_set


def pixel_values(images: Tensor) -> Tensor:
    return (images - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)


def lead(network: SamSegmenter, images: Tensor, label: int = 0) -> Tensor:
    memory = (torch.full((len(images), 1), float(label)),)
    logits = network.recall(network.encode(images), memory)
    return logits[:, 1] - logits[:, 0]


@torch.no_grad()
def test_mask_is_that_of_transformers_without_prompts() -> None:
    images, model = random_images(2), tiny_sam_model()
    expected = model(pixel_values(images), multimask_output=False).pred_masks[:, 0, 0]
    assert expected.std() > 1e-3
    torch.testing.assert_close(lead(tiny_sam(), images), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_every_mask_token_goes_through_the_first_one_s_mlp() -> None:
    """As the published Conv-LoRA does; transformers gives each token an MLP of its own, made equal here."""
    images, model = random_images(1), tiny_sam_model()
    for mlp in model.mask_decoder.output_hypernetworks_mlps[1:]:
        mlp.load_state_dict(model.mask_decoder.output_hypernetworks_mlps[0].state_dict())
    expected = model(pixel_values(images), multimask_output=True).pred_masks[0, 0]
    network = SamSegmenter(model, classes=2)
    network.head.mask_tokens = model.mask_decoder.mask_tokens
    tokens, masks = network.head.masks(network.encode(images)[0])
    assert tokens.shape == (1, 4, 32)
    torch.testing.assert_close(masks[0, 1:], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 96), (33, 50)])
def test_images_of_other_sizes_are_stretched(height: int, width: int) -> None:
    network = tiny_sam()
    (embedding,) = network.encode(random_images(2, height, width))
    assert embedding.shape == (2, 32, 8, 8)
    assert network.recall((embedding,), (torch.zeros(2, 1),)).shape == (2, 2, 32, 32)


@torch.no_grad()
def test_forward_looks_at_no_support_image() -> None:
    network, query = tiny_sam(), random_images(2)
    masks = torch.rand(2, 3, 64, 64).round()
    one, other = (network(query, random_images(6, seed=seed).unflatten(0, (2, 3)), masks) for seed in (1, 2))
    assert one.shape == (2, 2, 64, 64)
    assert torch.equal(one, other)


@torch.no_grad()
def test_windowed_blocks_see_their_window_and_global_ones_the_image() -> None:
    first, second = tiny_sam().encoder.layers
    assert (first.window_size, second.window_size) == (4, 0)
    places = torch.rand(1, 8, 8, 16, generator=torch.Generator().manual_seed(0))
    changed = places.clone()
    changed[:, 6, 6, 0] += 5
    moved = [((layer(changed) - layer(places)).abs().amax(-1)[0] > 1e-6) for layer in (first, second)]
    assert moved[0][4:, 4:].all()
    assert not moved[0][:4].any()
    assert not moved[0][:, :4].any()
    assert moved[1].all()


def test_gradients_have_their_parameter_s_shape_and_reach_all_but_unused_ones() -> None:
    for classes in (0, 2):
        network = tiny_sam(classes).requires_grad_(True)
        network.recall(network.encode(random_images(2)), (torch.ones(2, 1),))[:, 1].sum().backward()
        untouched = [name for name, parameter in network.named_parameters() if parameter.grad is None]
        assert untouched == []
        assert all(parameter.grad.shape == parameter.shape for parameter in network.parameters())


def test_iou_head_and_prompts_are_left_out() -> None:
    names = "\n".join(name for name, _ in tiny_sam(2).named_parameters())
    assert "iou_prediction" not in names
    assert "point" not in names
    assert "no_mask" not in names


def test_class_scores_of_a_hand_made_case() -> None:
    classes = torch.tensor([[[20.0, -20.0], [-20.0, 20.0]]])  # the first token is background, the second the class
    masks = torch.tensor([0.0, 20.0]).view(1, 2, 1, 1)
    torch.testing.assert_close(class_logits(classes, masks).exp().flatten(), torch.tensor([0.5, 1.0]))
    none = class_logits(classes, torch.full((1, 2, 1, 1), -50.0))
    assert none.isfinite().all()


@torch.no_grad()
def test_classes_recalled_one_by_one_are_the_branch_s_own_softmax() -> None:
    network, images = tiny_sam(classes=3), random_images(2)
    features = network.encode(images)
    recalled = recall_classes(network, features, network.memory_of(3, shots=2), torch.Size((32, 32)))
    expected = network.head(features[0])
    assert recalled.shape == (2, 4, 32, 32)
    torch.testing.assert_close(recalled.softmax(1), expected.softmax(1), rtol=1e-4, atol=1e-6)


def test_copied_mask_tokens_differ() -> None:
    own = nn.Embedding(4, 8)
    tokens = repeated(own, 10).weight
    assert tokens.shape == (10, 8)
    assert torch.equal(tokens[:4], own.weight)
    assert len({tuple(row.tolist()) for row in tokens}) == 10
    torch.testing.assert_close(tokens[4:8], own.weight, atol=0.15, rtol=0)
    assert repeated(own, 2).weight.shape == (2, 8)


@pytest.mark.parametrize("shots", [1, 4])
def test_taking_a_peek_lowers_the_loss(shots: int) -> None:
    network = tiny_sam()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    options = TapOptions(passes=12, learning_rate=2e-2, loss="focal", views=0, guard="none")
    adapted = take_a_peek(network, support_set(shots), Lora(rank=8, dropout=0.0), options)
    losses = adapted.record.losses
    assert losses[-1] < 0.9 * losses[0]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    with torch.no_grad():
        assert adapted(random_images(1, 48, 80)).shape == (1, 2, 48, 80)


def test_adapted_network_is_traced() -> None:
    adapted = take_a_peek(tiny_sam(), support_set(2), Lora(rank=2), TapOptions(passes=1))
    image = random_images(1, seed=5)
    with torch.no_grad():
        traced = torch.jit.trace(adapted, image)
        torch.testing.assert_close(traced(image + 0.01), adapted(image + 0.01), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_saved_weights_load(tmp_path: Path) -> None:
    tiny_sam_model(seed=3).save_pretrained(tmp_path)
    network, images = load_sam(tmp_path), random_images(1)
    assert torch.equal(lead(network, images), lead(tiny_sam(seed=3), images))
    assert (network.source, network.size, network.name) == (str(tmp_path.resolve()), 64, "sam")
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_class_branch_is_drawn_by_the_seed(tmp_path: Path) -> None:
    tiny_sam_model().save_pretrained(tmp_path)
    before = torch.get_rng_state()
    first, same, other = (load_sam(tmp_path, classes=2, seed=seed).head for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.classify[0].weight, same.classify[0].weight)
    assert not torch.equal(first.classify[0].weight, other.classify[0].weight)


def test_network_is_built_again_from_what_its_card_keeps() -> None:
    network = tiny_sam(classes=2)
    again = build_sam(**network.build)
    again.load_state_dict(network.state_dict())
    with torch.no_grad():
        assert torch.equal(lead(again.eval(), random_images(1), 2), lead(network, random_images(1), 2))


def test_what_is_no_sam_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no SAM can be loaded"):
        load_sam(tmp_path)
    model = tiny_sam_model()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    tiny_sam_config().save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match="no SAM can be loaded"):
        load_sam(tmp_path)
    model.vision_encoder.save_pretrained(tmp_path)
    tiny_sam_config().save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match="the weights are not those of a SAM"):
        load_sam(tmp_path)
    with pytest.raises(OptionError, match="less than no class"):
        tiny_sam(classes=-1)


@pytest.mark.parametrize(("name", "millions"), [("sam-vit-b", 89.7), ("sam-vit-l", 308.3), ("sam-vit-h", 637.0)])
def test_published_sizes(name: str, millions: float) -> None:
    """Of 91, 308 and 636 million parameters by segment-anything's README, 4 million of them in the decoder."""
    with torch.device("meta"):
        encoder = type(tiny_sam().encoder)(SAM_SIZES[name].config().vision_config)
    count = sum(parameter.numel() for parameter in encoder.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.06)


def test_published_sam_is_the_zoo_s_and_comes_from_one_commit_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.device("meta"):
        network = sam_vit_b(classes=3)
    assert (network.name, network.size, network.build) == ("sam-vit-b", 1024, {"classes": 3})
    asked = []

    def refuse(source: str, **how: object) -> None:
        asked.append((source, how))
        raise OSError("no network")

    monkeypatch.setattr("medtap.networks.sam.AutoConfig.from_pretrained", refuse)
    with pytest.raises(WeightsError, match="facebook/sam-vit-base"):
        load_published_sam("sam-vit-b")
    ((source, how),) = asked
    assert source == "facebook/sam-vit-base"
    assert len(how["revision"]) == 40


def test_zoo_saves_and_loads_a_sam_of_any_size(tmp_path: Path) -> None:
    network = tiny_sam(classes=2)
    save_network(network, tmp_path / "sam", {"build": network.build}, dtype=torch.float32)
    loaded = load_network(tmp_path / "sam")
    assert (loaded.size, loaded.classes) == (64, 2)
    with torch.no_grad():
        assert torch.equal(lead(loaded, random_images(1), 2), lead(network, random_images(1), 2))


def test_adapted_sam_is_saved_and_loaded(tmp_path: Path) -> None:
    network = tiny_sam()
    save_network(network, tmp_path / "sam", {"build": network.build}, dtype=torch.float32)
    adapted = take_a_peek(load_network(tmp_path / "sam"), support_set(2), Lora(rank=2), TapOptions(passes=1))
    adapted.save(tmp_path / "adapted")
    with torch.no_grad():
        assert torch.equal(load_adapted(tmp_path / "adapted")(random_images(1)), adapted(random_images(1)))
