"""Batches come to the device whole and in order, one ahead of what is computed."""

from __future__ import annotations

import pytest
import torch

from medtap.transfer import one_ahead, uploaded


def test_cpu_batches_pass_as_they_are() -> None:
    batches = [[torch.ones(2), torch.zeros(1, 3)], [torch.full((4,), 7.0)]]
    found = list(uploaded(iter(batches), torch.device("cpu")))
    assert [[tensor.data_ptr() for tensor in batch] for batch in found] == [
        [tensor.data_ptr() for tensor in batch] for batch in batches
    ]


def test_the_next_one_is_begun_before_one_is_handed_out() -> None:
    course: list[str] = []

    def start(item: str) -> str:
        course.append(f"start {item}")
        return item

    for (item,) in one_ahead("abc", start, list):
        course.append(f"use {item}")
    assert course == ["start a", "start b", "use a", "start c", "use b", "use c"]
    assert list(one_ahead("", start, list)) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_is_given_what_was_sent() -> None:
    device = torch.device("cuda")
    batches = [[torch.rand(3, 300 + number, 500), torch.rand(7)] for number in range(20)]
    for sent, found in zip(batches, uploaded(iter(batches), device), strict=True):
        assert all(tensor.is_cuda for tensor in found)
        torch.matmul(torch.rand(500, 500, device=device), torch.rand(500, 500, device=device))
        assert all(torch.equal(tensor.cpu(), own) for tensor, own in zip(found, sent, strict=True))
