"""The patients of a generated task: what they share and how far they differ."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor

from medtap.pretraining.cohort import Cohort

Law = Callable[[Cohort, float, float], Tensor]


def cohort(n: int, spread: float = 0.5, seed: int = 0) -> Cohort:
    return Cohort(n, 96, spread, Generator().manual_seed(seed))


@pytest.mark.parametrize("law", [Cohort.blend, Cohort.vary])
def test_patients_without_spread_share_their_values(law: Law) -> None:
    assert law(cohort(5, spread=0.0), 2, 3).unique().numel() == 1
    assert law(cohort(5, spread=1.0), 2, 3).unique().numel() > 1


def test_values_keep_to_their_range() -> None:
    patients = cohort(500, spread=1.0)
    assert patients.blend(2, 3).aminmax() == pytest.approx((2, 3), abs=0.02)
    assert patients.free(2, 3).aminmax() == pytest.approx((2, 3), abs=0.02)
    assert patients.vary(2, 3).aminmax() == pytest.approx((1.85, 3.15), abs=1e-5)
    assert 2 <= patients.between(2, 3) < 3


def test_some_is_a_share_of_the_patients() -> None:
    assert cohort(2000).some(0.3).mean().item() == pytest.approx(0.3, abs=0.04)


def test_a_thing_is_shown_in_its_share_of_the_tasks_only() -> None:
    known = [bool(cohort(16, seed=seed).shown(0.4).any()) for seed in range(200)]
    assert sum(known) / 200 == pytest.approx(0.4, abs=0.08)


def test_noise_has_unit_deviation_at_every_scale() -> None:
    deviations = torch.stack([cohort(32).noise(cells).std() for cells in (4, 12, 48)])
    torch.testing.assert_close(deviations, torch.ones(3), atol=0.12, rtol=0)


def test_bicubic_noise_passes_through_its_normal_knots() -> None:
    patients = cohort(4)
    knots = torch.randn((4, 1, 6, 6), generator=Generator().manual_seed(0))[:, 0]
    torch.testing.assert_close(patients.bicubic_noise(5)[:, ::19, ::19], knots, atol=1e-4, rtol=0)
