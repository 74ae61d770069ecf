"""Switches change how medtap computes and, where they are exact, nothing else."""

from __future__ import annotations

import pytest
import torch

from medtap import adaptation, passes
from medtap.adaptation import take_a_peek
from medtap.adapters import Lora
from medtap.benchmarks.switches import SWITCHES, switched
from medtap.errors import OptionError
from medtap.inference import PlaneInferer
from medtap.tap_options import TapOptions
from tests.tiny import random_images, support_set, tiny_network

OPTIONS = TapOptions(passes=2, learning_rate=1e-2, precision="float32", guard="none")


def logits(switch: str) -> torch.Tensor:
    with switched(switch):
        adapted = take_a_peek(tiny_network(), support_set(3), Lora(rank=2), OPTIONS)
        return PlaneInferer(64)(random_images(1, seed=9), adapted)


@pytest.fixture(scope="module")
def plain() -> torch.Tensor:
    return logits("")


@pytest.mark.parametrize("switch", sorted(SWITCHES.keys() - {"bfloat16_queries"}))
def test_exact_switches_leave_logits(switch: str, plain: torch.Tensor) -> None:
    torch.testing.assert_close(logits(switch), plain, atol=1e-4, rtol=1e-4)


def test_queries_in_bfloat16_are_close_and_not_the_same(plain: torch.Tensor) -> None:
    found = logits("bfloat16_queries")
    assert not torch.equal(found, plain)
    torch.testing.assert_close(found, plain, atol=0.3, rtol=0.1)


def test_switches_replace_what_is_used_and_put_it_back() -> None:
    kept, loss = adaptation.frozen_parts_kept, passes.pseudo_query_loss
    with switched("frozen_parts_computed"), switched("decoded_one_by_one"):
        assert adaptation.frozen_parts_kept is not kept
        assert passes.pseudo_query_loss is not loss
    assert (adaptation.frozen_parts_kept, passes.pseudo_query_loss) == (kept, loss)


def test_pictures_are_encoded_for_each_pseudo_query(monkeypatch: pytest.MonkeyPatch) -> None:
    network, encoded = tiny_network(), []
    encode = type(network).encode
    monkeypatch.setattr(
        type(network), "encode", lambda self, images: encoded.append(len(images)) or encode(self, images)
    )
    support = support_set(3)
    ((_, step),) = passes.pseudo_queries(support.images, support.masks, TapOptions(passes=1), torch.Generator())
    for switch, times in (("decoded_one_by_one", 1), ("encoded_one_by_one", 3)):
        encoded.clear()
        SWITCHES[switch][1](network, step, 1)
        assert len(encoded) == times


def test_unknown_switch_is_refused_with_the_nearest() -> None:
    with pytest.raises(OptionError, match="did you mean channels_last"):
        switched("channels_first")
