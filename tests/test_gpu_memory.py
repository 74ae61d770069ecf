"""How many planes go at once: on the CPU without a trial, on a GPU by what one of them takes."""

from __future__ import annotations

import pytest
import torch

from medtap.gpu_memory import batch_that_fits, planes_that_fit


@pytest.mark.parametrize(
    ("free", "each", "planes"),
    [(1000, 100, 8), (1000, 801, 1), (1000, 5000, 1), (0, 10, 1), (10**12, 10**6, 256), (1000, 0, 256)],
)
def test_planes_take_four_fifths_of_the_free_memory(free: int, each: int, planes: int) -> None:
    assert planes_that_fit(free, each) == planes


def test_nothing_is_tried_on_the_cpu() -> None:
    assert batch_that_fits(torch.device("cpu"), lambda: pytest.fail("tried")) == 8


def test_gpu_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    for name, value in {
        "reset_peak_memory_stats": None,
        "memory_allocated": 100,
        "max_memory_allocated": 150,
        "memory_reserved": 300,
        "mem_get_info": (800, 2000),
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda _, value=value: value)
    assert batch_that_fits(torch.device("cuda"), lambda: tried.append(1)) == 16
    assert tried == [1]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_holds_what_was_chosen() -> None:
    device = torch.device("cuda")

    def one() -> torch.Tensor:
        return torch.zeros(2**28, dtype=torch.uint8, device=device)

    count = batch_that_fits(device, one)
    held = [one() for _ in range(count)]
    assert len(held) == count >= 1
