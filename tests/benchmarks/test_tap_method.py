"""An adapted network as a method: what it tells of itself and of what it trained."""

from __future__ import annotations

import pytest

from medtap.adaptation import TapOptions
from medtap.adapters import ADAPTERS, Lora, Svf
from medtap.benchmarks import tap_method
from medtap.benchmarks.tap_method import TapMethod
from tests.tiny import SIZE, support_set, tiny_network


def method(adapter=None, device="cpu", **tap):
    return TapMethod(tiny_network(), SIZE, adapter or Lora(rank=2), TapOptions(guard="none", **tap), device=device)


@pytest.mark.parametrize("adapter", [Svf(), Lora(rank=2), ADAPTERS["conv_lora"](), ADAPTERS["full"]()])
def test_trained_numbers_are_counted(adapter):
    learnt = method(adapter, passes=1).learn(support_set(2))
    network = tiny_network()
    trained = [value.numel() for value in adapter.attach(adapter.part(network)).parameters()]
    assert (learnt.parameters, learnt.saved_bytes) == (sum(trained), 2 * sum(trained))


def test_without_passes_nothing_is_trained():
    learnt = method(passes=0).learn(support_set(2))
    assert (learnt.parameters, learnt.saved_bytes) == (0, 0)


@pytest.mark.parametrize(
    ("precision", "able", "passes", "told"),
    [
        ("float32", True, 1, None),
        ("auto", False, 1, None),
        ("auto", True, 0, None),
        ("auto", True, 1, "bfloat16"),
        ("bfloat16", False, 1, "bfloat16"),
    ],
)
def test_precision_is_told_where_it_is_not_single(monkeypatch, precision, able, passes, told):
    monkeypatch.setattr(tap_method, "has_bfloat16", lambda _: able)
    assert method(precision=precision, passes=passes).describe()["tap"].get("precision") == told


def test_description_is_the_one_of_the_first_journals():
    told = method(precision="float32", passes=4, loss="focal", learning_rate=1e-3, drawn=5).describe()
    assert told.keys() == {"network", "weights_sha256", "size", "device", "adapter", "tap", "inference"}
    assert told["adapter"] == {"method": "lora", "rank": 2, "alpha": None, "dropout": 0.0, "targets": "auto"}
    assert told["tap"] == {
        "passes": 4, "learning_rate": 1e-3, "weight_decay": 0.01, "schedule": "per_pass", "drawn": 5,
        "rates": "learned", "augment": "none", "views": 3, "average": 0, "guard": "none", "seed": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"loss": "focal"}, {}),
        ({"loss": "dice_ce"}, {"loss": "dice_ce", "smooth": 100.0}),
        ({"loss": "focal", "guard": "held_out"}, {"smooth": 100.0}),
        ({"loss": "focal", "schedule": "per_group"}, {"group": 6}),
        ({"loss": "focal", "patience": 2}, {"patience": 2}),
    ],
)
def test_what_came_later_is_told_where_it_makes_a_difference(options, told):
    later = ("loss", "smooth", "group", "patience")
    described = tap_method._described(TapOptions(**{"guard": "none", **options}), "cpu")
    assert {name: described[name] for name in later if name in described} == told
