"""In which precision a network computes."""

from __future__ import annotations

import pytest
import torch

from medtap import precision
from medtap.adaptation import take_a_peek
from medtap.errors import OptionError
from medtap.precision import autocast
from medtap.tap_options import TapOptions
from tests.tiny import random_images, support_set, tiny_network


def dtype_within(name: str, on_cpu: bool) -> torch.dtype:
    with autocast(name, "cpu", on_cpu):
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


@pytest.mark.parametrize(
    ("name", "on_cpu", "able", "expected"),
    [
        ("auto", True, True, torch.bfloat16),
        ("auto", True, False, torch.float32),
        ("auto", False, True, torch.float32),
        ("bfloat16", False, False, torch.bfloat16),
        ("float32", True, True, torch.float32),
    ],
)
def test_bfloat16_where_the_processor_has_it(
    name: str, on_cpu: bool, able: bool, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda _: able)
    assert dtype_within(name, on_cpu) == expected


def test_unknown_precision_is_refused() -> None:
    with pytest.raises(OptionError, match="no precision is called 'half'"):
        autocast("half", "cpu", on_cpu=True)
    with pytest.raises(OptionError, match="precision of auto, float32, bfloat16"):
        TapOptions(precision="half")


@torch.no_grad()
def test_adapting_in_bfloat16_comes_near_adapting_in_float32() -> None:
    network, query = tiny_network(), random_images(2, seed=5)
    unadapted, *adapted = (
        take_a_peek(network, support_set(4), options=TapOptions(passes=passes, guard="none", precision=name))(query)
        for passes, name in ((0, "float32"), (3, "float32"), (3, "bfloat16"))
    )
    assert not torch.equal(*adapted)
    assert (adapted[0] - adapted[1]).abs().mean() < 0.2 * (adapted[0] - unadapted).abs().mean()
