"""LoRA of several support sets in one encoder: each set's pictures are changed by its own factors alone."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor, nn

from medtap.adapters import Lora
from medtap.adapters.stacked_lora import StackedLora, factors_by_layer, low_rank_change, stack_factors
from medtap.errors import OptionError
from tests.adapters.transformer import tiny_sam, tiny_swin, tiny_vit
from tests.tiny import random_images, tiny_network


def drawn_states(encoder: nn.Module, lora: Lora, sets: int) -> list[dict[str, Tensor]]:
    """Factors of each set, as ``Lora`` attached alone names them; the encoder is left as it was."""
    attached, generator = lora.attach(encoder), Generator().manual_seed(0)
    shapes = {name: value.shape for name, value in attached.state_dict().items()}
    attached.detach()
    return [
        {name: 0.3 * torch.randn(shape, generator=generator) for name, shape in shapes.items()} for _ in range(sets)
    ]


def filled(encoder: nn.Module, lora: Lora, states: list[dict[str, Tensor]]) -> StackedLora:
    attached = StackedLora(encoder, lora, len(states))
    stacked = stack_factors([factors_by_layer(state) for state in states])
    with torch.no_grad():
        for layer, parameters in attached.layers().items():
            for parameter, value in zip(parameters, stacked[layer], strict=True):
                parameter.copy_(value)
    return attached


def maps(encoder: nn.Module, images: Tensor) -> list[Tensor]:
    """What an encoder of any kind gives, as tensors with a picture at each index."""
    given = encoder(images)
    if isinstance(given, tuple):
        return list(given)
    return list(given.feature_maps) if "feature_maps" in given else [given.last_hidden_state]


@torch.no_grad()
@pytest.mark.parametrize(
    ("make", "side", "lora"),
    [
        (lambda: tiny_network().encoder, 64, Lora(rank=4, alpha=2.0)),
        (lambda: tiny_network().encoder, 64, Lora(rank=3, targets="all")),
        (tiny_vit, 32, Lora(rank=2)),
        (tiny_swin, 32, Lora(rank=2)),
        (tiny_sam, 32, Lora(rank=2)),
    ],
    ids=["pointwise", "convolutions", "vit", "swin", "sam"],
)
def test_pictures_of_a_set_are_changed_by_its_own_factors(make, side: int, lora: Lora) -> None:
    encoder, images = make(), random_images(6, side)
    states = drawn_states(encoder, lora, 3)
    filled(encoder, lora, states)
    together = maps(encoder, images)
    for number, state in enumerate(states):
        alone = make()
        lora.attach(alone).load_state_dict(state)
        own = slice(2 * number, 2 * number + 2)
        for level, expected in zip(together, maps(alone, images[own]), strict=True):
            torch.testing.assert_close(level[own], expected, atol=1e-4, rtol=1e-4)


def test_strided_and_padded_convolution_by_hand() -> None:
    layer = nn.Conv2d(2, 3, 3, stride=2, padding=1)
    down, up = torch.randn(2, 4, 2, 3, 3), torch.randn(2, 3, 4, 1, 1)
    images = torch.randn(6, 2, 7, 5)
    changed = low_rank_change(layer, images, (down, up))
    for number in range(2):
        weight = torch.einsum("or,rikl->oikl", up[number, :, :, 0, 0], down[number])
        expected = nn.functional.conv2d(images[3 * number : 3 * number + 3], weight, stride=2, padding=1)
        torch.testing.assert_close(changed[3 * number : 3 * number + 3], expected, atol=1e-4, rtol=1e-4)


def test_gradient_of_a_set_is_its_own() -> None:
    layer, inputs = nn.Linear(5, 4), torch.randn(4, 3, 5)
    down, up = torch.randn(2, 2, 5).requires_grad_(), torch.randn(2, 4, 2).requires_grad_()
    low_rank_change(layer, inputs, (down, up))[:2].square().sum().backward()
    assert down.grad[0].abs().min() > 0
    assert not down.grad[1].any()
    assert not up.grad[1].any()


def test_initial_values_are_those_of_lora_alone_and_change_nothing() -> None:
    encoder, lora, images = tiny_network().encoder, Lora(rank=4), random_images(4)
    before = encoder(images)
    single = lora.attach(tiny_network().encoder)
    single.reset(Generator().manual_seed(7))
    attached = StackedLora(encoder, lora, 2)
    attached.reset(Generator().manual_seed(7))
    for number in range(2):
        values = attached.values_of(number)
        assert values.keys() == single.state_dict().keys()
        assert all(torch.equal(values[name], value) for name, value in single.state_dict().items())
    assert attached.layers().keys() == single.layers().keys()
    assert all(torch.equal(new, old) for new, old in zip(encoder(images), before, strict=True))


def test_detach_takes_the_factors_off() -> None:
    encoder = tiny_network().encoder
    names, hooks = set(encoder.state_dict()), sum(len(module._forward_hooks) for module in encoder.modules())
    attached = StackedLora(encoder, Lora(rank=2), 3)
    assert set(encoder.state_dict()) != names
    attached.detach()
    assert set(encoder.state_dict()) == names
    assert sum(len(module._forward_hooks) for module in encoder.modules()) == hooks


def test_layer_that_does_not_see_the_pictures_is_refused() -> None:
    factors = torch.zeros(2, 1, 4), torch.zeros(2, 4, 1)
    with pytest.raises(
        OptionError, match=r"LoRA of 2 support sets at once meets a layer .* found an input of \[1, 4\]"
    ):
        low_rank_change(nn.Linear(4, 4), torch.zeros(1, 4), factors)
