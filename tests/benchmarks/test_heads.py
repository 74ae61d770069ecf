"""What heads cost is measured as it is told; no test asserts a time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medtap.benchmarks import heads
from medtap.errors import OptionError
from medtap.networks import BUILDERS
from tests.tiny import tiny_network


def test_a_head_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILDERS, "tiny", tiny_network)
    results = heads.run_heads({"networks": {"tiny": 64}, "shots": 3, "repeats": 1}, 0, tmp_path)
    row = results["settings"]["tiny"]
    assert all(value > 0 for value in row.values())
    assert row["recall_over_encode"] == row["recall_seconds"] / row["encode_seconds"]
    assert results["protocol"].items() >= {"shots": 3, "weights": "random"}.items()


def test_operations_of_a_product_by_hand() -> None:
    assert heads.operations(lambda: torch.ones(3, 4) @ torch.ones(4, 5)) == 2 * 3 * 4 * 5


def test_operations_of_fused_attention_by_hand() -> None:
    query, key = torch.rand(1, 2, 5, 4), torch.rand(1, 2, 7, 4)
    attend = torch.nn.functional.scaled_dot_product_attention
    assert heads.operations(lambda: attend(query, key, key)) == 2 * (2 * 2 * 5 * 7 * 4)


def test_bytes_of_tensors_by_hand() -> None:
    assert heads.stored_bytes((torch.zeros(2, 3), torch.zeros(5, dtype=torch.float16))) == 24 + 10


def test_masks_cover_the_square_in_the_middle() -> None:
    masks = heads.centred_masks(2, 8, 0.5)
    assert masks.shape == (1, 2, 8, 8)
    assert masks[0, 1, 2:6, 2:6].sum() == masks[0, 1].sum() == 16


def test_a_benchmark_without_networks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="a benchmark without networks"):
        heads.run_heads({}, 0, tmp_path)
