"""What float16 holds is saved in it, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medtap.adaptation import take_a_peek
from medtap.adapted import TENSORS, load_adapted
from medtap.half_precision import compact, rounded
from medtap.networks.zoo import read_tensors
from medtap.tap_options import TapOptions
from tests.tiny import random_images, support_set, tiny_network


@pytest.mark.parametrize(
    ("values", "expected", "dtype"),
    [
        ([1 / 3, -2e-3], [0.333251953125, -0.0020008087158203125], torch.float16),
        ([1e5, 1 / 3], [1e5, 1 / 3], torch.float32),
    ],
)
def test_rounded_values_are_compact(values: list[float], expected: list[float], dtype: torch.dtype) -> None:
    near = rounded(torch.tensor(values))
    assert near.tolist() == torch.tensor(expected).tolist()
    assert compact(near).dtype == dtype
    assert torch.equal(compact(near).float(), near)


def test_what_would_change_stays_as_it_is() -> None:
    for values in (torch.tensor([1 / 3]), torch.tensor([float("nan")]), torch.tensor([3])):
        assert compact(values).dtype == values.dtype


@torch.no_grad()
def test_an_adapter_is_saved_in_half_the_bytes_and_is_the_same_again(tmp_path: Path) -> None:
    network, images = tiny_network(), random_images(2)
    adapted = take_a_peek(network, support_set(3), options=TapOptions(passes=2, learning_rate=1e-2))
    adapted.save(tmp_path)
    stored = read_tensors(tmp_path / TENSORS)
    assert {value.dtype for value in stored.values()} == {torch.float16}
    assert torch.equal(load_adapted(tmp_path, network)(images), adapted(images))
