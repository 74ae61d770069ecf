"""Many support sets at once: each is adapted to as it would be alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from medtap import take_many_peeks
from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapted import AdaptedSegmenter, load_adapted
from medtap.adapters import Adapter, Lora, Ssf
from medtap.errors import AdaptationError, OptionError
from medtap.many import adaptation
from medtap.many.adaptation import alike
from medtap.networks.classes import recall_classes, remember_classes
from medtap.support import SupportSet, SupportSource
from tests.networks.tiny_sam import tiny_sam
from tests.tiny import random_images, support_set, tiny_network

NETWORK, LORA = tiny_network(), Lora(rank=4)
PLAIN = TapOptions(passes=2, guard="none", precision="float32")


def sets(count: int, shots: int = 4, classes: int = 1) -> list[SupportSet]:
    return [support_set(shots, classes, seed=10 * number) for number in range(count)]


def check_each(together: Sequence[AdaptedSegmenter], supports: Sequence[SupportSet], options: TapOptions) -> None:
    """Compare with what ``take_a_peek`` gives for each alone: losses, guard and logits."""
    query = random_images(2, seed=9)
    for own, support in zip(together, supports, strict=True):
        alone = take_a_peek(NETWORK, support, LORA, options)
        assert own.record.losses == pytest.approx(alone.record.losses, abs=1e-4)
        assert own.record.check == pytest.approx(alone.record.check, abs=1e-4)
        assert own.record.warnings == alone.record.warnings
        ours, theirs = own.record.as_json(), alone.record.as_json()
        changing = {"losses", "check", "cost"}
        assert {key: ours[key] for key in ours.keys() - changing} == {
            key: theirs[key] for key in ours.keys() - changing
        }
        with torch.no_grad():
            moved = (alone(query) - unadapted(support, query)).abs().max()
            error = (own(query) - alone(query)).abs().max()
        assert error < 0.02 * moved + 1e-4


def unadapted(support: SupportSet, query: torch.Tensor) -> torch.Tensor:
    memory = remember_classes(NETWORK, NETWORK.encode(support.images), support.masks, len(support.classes))
    return recall_classes(NETWORK, NETWORK.encode(query), memory, query.shape[-2:])


@pytest.mark.parametrize(
    "change",
    [
        {"schedule": "per_support", "rates": "even"},
        {"augment": "upright", "drawn": 2, "average": 2},
        {"guard": "held_out_masks", "loss": "dice_ce"},
        {"guard": "held_out", "closing": 3, "disagreement": 0.4},
    ],
    ids=lambda change: ", ".join(change),
)
def test_each_set_is_adapted_to_as_alone(change: dict) -> None:
    options, supports = replace(PLAIN, **change), sets(2)
    check_each(take_many_peeks(NETWORK, supports, LORA, options), supports, options)


@pytest.mark.parametrize("guard", ["held_out", "none"])
def test_single_images_are_adapted_to_as_alone(guard: str) -> None:
    options, supports = replace(PLAIN, guard=guard), sets(2, shots=1)
    check_each(take_many_peeks(NETWORK, supports, LORA, options), supports, options)


def test_sets_of_other_shots_and_classes_come_back_in_order() -> None:
    supports = [support_set(3), support_set(2, 2), support_set(3, seed=5), support_set(2, 2, seed=6)]
    together = take_many_peeks(NETWORK, supports, LORA, PLAIN)
    assert [own.record.support_sha256 for own in together] == [support.sha256 for support in supports]
    check_each(together, supports, PLAIN)


def test_guard_gives_each_set_a_strength_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = torch.tensor([[0.1, 0.2, 0.3], [0.3, 0.1, 0.2], [0.3, 0.2, 0.1]])
    look = adaptation.look_at_halves
    monkeypatch.setattr(adaptation, "look_at_halves", lambda *given: look(*given)._replace(losses=losses))
    options = replace(PLAIN, guard="held_out", closing=0)
    none, whole, beyond = take_many_peeks(NETWORK, [support_set(3)] * 3, LORA, options)
    assert [own.record.check["strength"] for own in (none, whole, beyond)] == [0.0, 1.0, 2.0]
    assert "the unadapted network is kept" in none.record.warnings[0]
    for name, value in whole.adapter.items():
        between = (none.adapter[name] + beyond.adapter[name]) / 2
        torch.testing.assert_close(value, between, atol=1e-3, rtol=1e-3)


def test_a_set_whose_unadapted_network_is_kept_learns_nothing_in_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = torch.tensor([[0.1, 0.2, 0.3], [0.3, 0.1, 0.2]])
    look = adaptation.look_at_halves
    monkeypatch.setattr(adaptation, "look_at_halves", lambda *given: look(*given)._replace(losses=losses))
    kept, adapted = take_many_peeks(NETWORK, sets(2), LORA, replace(PLAIN, guard="held_out"))
    plain = take_a_peek(NETWORK, sets(2)[0], LORA, replace(PLAIN, passes=0))
    assert (kept.record.losses, len(adapted.record.losses)) == ((), PLAIN.passes + 2)
    assert all(torch.equal(value, plain.adapter[name]) for name, value in kept.adapter.items())


def test_closing_passes_run_for_no_set_where_none_is_adapted(monkeypatch: pytest.MonkeyPatch) -> None:
    losses, look, runs = torch.tensor([[0.1, 0.2, 0.3]] * 2), adaptation.look_at_halves, []
    run = adaptation.ManyTraining.run
    monkeypatch.setattr(adaptation, "look_at_halves", lambda *given: look(*given)._replace(losses=losses))
    monkeypatch.setattr(adaptation.ManyTraining, "run", lambda *given: runs.append(given) or run(*given))
    for own, support in zip(
        take_many_peeks(NETWORK, sets(2), LORA, replace(PLAIN, guard="held_out")), sets(2), strict=True
    ):
        plain = take_a_peek(NETWORK, support, LORA, replace(PLAIN, passes=0))
        assert all(torch.equal(value, plain.adapter[name]) for name, value in own.adapter.items())
    assert len(runs) == 2  # one of each half


def test_only_sets_alike_are_trained_together() -> None:
    planes = [SupportSource("a", 1), SupportSource("a", 2), SupportSource("b", 1), SupportSource("b", 2)]
    cut = replace(support_set(4), sources=tuple(planes))
    supports = [support_set(4), support_set(3), support_set(4), cut, support_set(4, 2), support_set(4), support_set(4)]
    assert list(alike(supports, at_once=3)) == [[0, 2, 5], [6], [1], [3], [4]]


def test_base_network_is_left_alone_and_adapters_can_be_saved(tmp_path) -> None:
    network = NETWORK
    before = {name: value.clone() for name, value in network.state_dict().items()}
    own, _ = take_many_peeks(network, sets(2), LORA, PLAIN)
    assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())
    again, query = load_adapted(own.save(tmp_path / "own"), network), random_images(1)
    torch.testing.assert_close(again(query), own(query), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("adapter", "options"),
    [(Ssf(), PLAIN), (Lora(rank=4, dropout=0.2), PLAIN), (LORA, replace(PLAIN, patience=1))],
    ids=["ssf", "dropout", "patience"],
)
def test_what_cannot_be_stacked_is_trained_one_after_another(
    adapter: Adapter, options: TapOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptation, "take_a_peek", lambda *asked: asked)
    supports = sets(2)
    asked = [(NETWORK, support, adapter, options, "cpu") for support in supports]
    assert take_many_peeks(NETWORK, supports, adapter, options) == asked


def test_mistakes_are_refused() -> None:
    with pytest.raises(OptionError, match="fewer than one at once; found 0"):
        take_many_peeks(NETWORK, sets(1), LORA, PLAIN, at_once=0)
    with pytest.raises(OptionError, match="looks at no support image"):
        take_many_peeks(tiny_sam(), [support_set(2, 2)], LORA, PLAIN)
    assert take_many_peeks(NETWORK, [], LORA, PLAIN) == []


def test_loss_that_is_not_a_number_names_the_set() -> None:
    options = replace(PLAIN, learning_rate=1e30)
    with pytest.raises(AdaptationError, match=r"the loss of support set 1, 2 is not a number at step 2; lower the"):
        take_many_peeks(NETWORK, sets(2), LORA, options)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_adapts_many_like_the_cpu() -> None:
    supports, query = sets(3), random_images(2, seed=9)
    on_gpu = take_many_peeks(NETWORK, supports, LORA, PLAIN, device="cuda")
    on_cpu = take_many_peeks(NETWORK, supports, LORA, PLAIN)
    for own, expected in zip(on_gpu, on_cpu, strict=True):
        assert all(tensor.is_cuda for tensor in own.state_dict().values())
        torch.testing.assert_close(own(query.cuda()).cpu(), expected(query), atol=1e-2, rtol=0)
