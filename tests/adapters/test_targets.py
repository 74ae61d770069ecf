"""Which layers an adapter changes."""

from __future__ import annotations

import pytest
from torch import nn

from medtap.adapters.targets import choose_targets, is_linear_or_convolution, is_norm, is_pointwise, is_zero_padded
from medtap.errors import OptionError
from tests.tiny import tiny_encoder


class Block(nn.Module):
    """Attention by its parts' names, a 1x1 convolution, and what must not be touched."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.v_proj, self.fc = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 8)
        self.mix, self.depthwise = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1, groups=4)
        self.spatial, self.norm = nn.Conv2d(4, 4, 3), nn.LayerNorm(4)


@pytest.mark.parametrize(
    ("targets", "names"),
    [
        ("auto", ["q_proj", "v_proj"]),
        ("attention", ["q_proj", "v_proj"]),
        ("pointwise", ["q_proj", "v_proj", "fc", "mix"]),
        ("re:^(fc|spatial|q)", ["q_proj", "fc"]),
        ("all", ["q_proj", "v_proj", "fc", "mix"]),
    ],
)
def test_layers_of_a_choice(targets: str, names: list[str]) -> None:
    assert choose_targets(Block(), targets) == names


@pytest.mark.parametrize(
    ("targets", "names"),
    [
        ("all", ["q_proj", "v_proj", "fc", "mix", "depthwise", "spatial"]),
        ("pointwise", ["q_proj", "v_proj", "fc", "mix"]),
        ("re:^(fc|spatial|q)", ["q_proj", "fc", "spatial"]),
    ],
)
def test_layers_that_a_method_can_change(targets: str, names: list[str]) -> None:
    assert choose_targets(Block(), targets, is_linear_or_convolution) == names


def test_auto_takes_whatever_can_be_changed_where_nothing_is_pointwise() -> None:
    assert choose_targets(Block(), "auto", is_norm) == ["norm"]


def test_auto_takes_pointwise_layers_where_there_is_no_attention() -> None:
    names = choose_targets(tiny_encoder(), "auto")
    assert len(names) == 8
    assert all(name.endswith(("pwconv1", "pwconv2")) for name in names)


def test_a_name_that_only_holds_an_attention_word_is_none() -> None:
    assert choose_targets(nn.ModuleDict({"keyhole": nn.Linear(2, 2), "value": nn.Linear(2, 2)}), "auto") == ["value"]


def test_is_pointwise() -> None:
    assert is_pointwise(nn.Linear(2, 3))
    assert is_pointwise(nn.Conv2d(2, 3, 1, stride=2))
    assert not is_pointwise(nn.Conv2d(2, 3, (1, 3)))
    assert not is_pointwise(nn.Conv2d(2, 2, 1, groups=2))
    assert not is_pointwise(nn.Embedding(2, 3))


def test_zero_padding() -> None:
    assert is_zero_padded(nn.Linear(2, 3))
    assert is_zero_padded(nn.Conv2d(2, 2, 3, padding="same", groups=2))
    assert not is_zero_padded(nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"))
    assert not is_zero_padded(nn.LayerNorm(2))


def test_norms_are_known_by_their_class() -> None:
    norms = (nn.LayerNorm(2), nn.GroupNorm(1, 2), nn.BatchNorm2d(2), nn.SyncBatchNorm(2), nn.InstanceNorm2d(2))
    assert all(map(is_norm, norms))
    assert not any(map(is_norm, (nn.Linear(2, 2), nn.Conv2d(2, 2, 1), nn.Sequential(nn.LayerNorm(2)))))
    found = {type(layer).__name__ for layer in tiny_encoder().modules() if is_norm(layer)}
    assert found == {"ConvNextV2LayerNorm", "ConvNextV2GRN"}


def test_unknown_choice_is_refused() -> None:
    with pytest.raises(OptionError, match=r"no targets are called 'atention'; expected one of auto, attention"):
        choose_targets(Block(), "atention")


def test_choice_without_a_layer_is_refused() -> None:
    with pytest.raises(OptionError, match=r"'attention' match no layer of the encoder; found pwconv1, pwconv2"):
        choose_targets(tiny_encoder(), "attention")
    with pytest.raises(OptionError, match="found no Linear layer or 1x1 convolution"):
        choose_targets(nn.Conv2d(3, 4, 3), "auto")


def test_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(OptionError, match="'\\(' is no regular expression"):
        choose_targets(Block(), "re:(")
    with pytest.raises(OptionError, match="match no layer of the encoder"):
        choose_targets(Block(), "re:nowhere")
