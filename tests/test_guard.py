"""How far an adaptation is trusted, by support images it was not trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from medtap import guard
from medtap.adapters import AttachedAdapter, Lora
from medtap.networks.segmenter import FewShotSegmenter, share_weights
from medtap.passes import SupportTraining
from medtap.tap_options import GUARDS, TapOptions
from tests.tiny import support_set, tiny_network

OPTIONS = TapOptions(passes=3, learning_rate=1e-2, doublings=0, seed=2)


def attached_network() -> tuple[FewShotSegmenter, AttachedAdapter]:
    network = share_weights(tiny_network())
    return network, Lora(rank=2, dropout=0.0).attach(network.encoder)


def losses(shots: int, options: TapOptions = OPTIONS, classes: int = 1) -> guard.Losses:
    support, (network, attached) = support_set(shots, classes), attached_network()
    training = SupportTraining(network, attached, classes, options, {})
    return guard.held_out_losses(training, support.images, support.masks)


@pytest.mark.parametrize("shots", [2, 3, 5])
def test_each_half_is_segmented_by_the_other_alone(shots: int, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[torch.Tensor] = []
    monkeypatch.setattr(SupportTraining, "stages", lambda _, __, images, *___: iter([trained.append(images)]))
    checked: list[tuple[torch.Tensor, torch.Tensor]] = []

    def loss(_: object, images: torch.Tensor, __: object, seen: torch.Tensor, held_out: torch.Tensor) -> float:
        checked.append((images[seen], images[held_out]))
        return 1.0

    monkeypatch.setattr(guard, "_dice_loss", loss)
    assert losses(shots) == [[1.0, 1.0, 1.0]]
    assert len(trained) == 2
    images = support_set(shots).images
    assert len(checked) == 2 * len(guard.STRENGTHS)
    for seen, (support, queries) in zip(trained * 2, checked[:2] + checked[2::2], strict=True):
        assert torch.equal(seen, support)
        both = torch.cat([support, queries]).flatten(1)
        assert torch.equal(both[both[:, 0].argsort()], images.flatten(1)[images.flatten(1)[:, 0].argsort()])


def test_no_volume_is_in_both_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    support, (network, attached) = support_set(6), attached_network()
    volumes = torch.tensor([0, 0, 0, 3, 3, 5])
    trained: list[torch.Tensor] = []
    monkeypatch.setattr(SupportTraining, "stages", lambda *given: iter([trained.append(given[-1])]))
    monkeypatch.setattr(guard, "_dice_loss", lambda *_: 1.0)
    training = SupportTraining(network, attached, 1, OPTIONS, {})
    guard.held_out_losses(training, support.images, support.masks, volumes)
    assert sorted(torch.cat(trained).tolist()) == volumes.tolist()
    assert not set(trained[0].tolist()) & set(trained[1].tolist())


@pytest.mark.parametrize(("shots", "classes"), [(2, 1), (4, 2)])
def test_losses_are_the_same_again_and_differ_by_strength(shots: int, classes: int) -> None:
    (first,) = losses(shots, classes=classes)
    assert [first] == losses(shots, classes=classes)
    assert len(set(first)) == len(guard.STRENGTHS)
    assert all(0 < loss < 1 for loss in first)


def test_no_strength_is_the_unadapted_network() -> None:
    (weak,) = losses(4, TapOptions(passes=1, learning_rate=1e-9, doublings=0, seed=2))
    assert losses(4)[0][0] == pytest.approx(weak[0], abs=1e-6)
    assert weak == pytest.approx([weak[0]] * 3, abs=1e-6)


def test_strength_lies_between_start_and_end() -> None:
    _, attached = attached_network()
    start = guard.initial_values(attached, seed=0)
    end = [value + 2 for value in start]
    guard.set_strength(attached, start, end, 0.5)
    for parameter, first in zip(attached.parameters(), start, strict=True):
        torch.testing.assert_close(parameter.detach(), first + 1)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_weakened_adapter_lies_between_its_seed_and_its_end(strength: float) -> None:
    _, attached = attached_network()
    start = guard.initial_values(attached, seed=3)
    guard.set_strength(attached, start, [value + 2 for value in start], 1.0)
    guard.weaken(attached, 3, strength)
    for parameter, first in zip(attached.parameters(), start, strict=True):
        torch.testing.assert_close(parameter.detach(), first + 2 * strength)


@pytest.mark.parametrize(
    ("losses", "strength"),
    [
        ([0.3, 0.2, 0.4], 0.5),
        ([0.4, 0.3, 0.1], 1.0),
        ([0.1, 0.3, 0.4], 0.0),
        ([0.200, 0.204, 0.208], 1.0),  # half of the set teaches less than all: a point at full strength is forgiven
        ([0.200, 0.204, 0.211], 0.5),
        ([0.200, 0.206, 0.211], 0.0),
    ],
)
def test_best_strength_has_the_least_loss_but_for_what_is_forgiven(losses: list[float], strength: float) -> None:
    assert guard.best_of([losses], TapOptions(forgiven=0.01)) == (0, strength)


@pytest.mark.parametrize(
    ("losses", "best", "more"),
    [
        ([], None, True),
        ([[0.4, 0.3, 0.1]], (0, 1.0), True),
        ([[0.4, 0.1, 0.3]], (0, 0.5), False),
        ([[0.4, 0.5, 0.6]], (0, 0.0), False),
        ([[0.4, 0.3, 0.2], [0.4, 0.3, 0.1]], (1, 1.0), True),
        ([[0.4, 0.3, 0.2], [0.4, 0.1, 0.2]], (1, 0.5), False),
        ([[0.4, 0.3, 0.2], [0.4, 0.3, 0.2]], (0, 1.0), False),
        ([[0.4, 0.3, 0.2], [0.4, 0.5, 0.6]], (0, 1.0), False),
    ],
)
def test_passes_are_doubled_while_more_of_them_help(losses: guard.Losses, best: object, more: bool) -> None:
    assert guard.goes_on(losses, OPTIONS) is more
    assert not losses or guard.best_of(losses, OPTIONS) == best


def test_passes_are_doubled_as_often_as_held_out_images_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses of both halves without an adapter, once, and each time at two strengths."""
    ran: list[int] = []
    train = SupportTraining.train

    def counted(*given: object) -> Iterator[list[float]]:
        for losses in train(*given):
            ran.append(len(losses))
            yield losses

    told = iter([0.5] * 2 + [0.4, 0.3] * 2 + [0.3, 0.2] * 2 + [0.25, 0.3] * 2)
    monkeypatch.setattr(SupportTraining, "train", counted)
    monkeypatch.setattr(guard, "_dice_loss", lambda *_: next(told))
    options = replace(OPTIONS, passes=2, doublings=4)
    found = losses(4, options)
    assert ran == [2, 2, 4, 4, 8, 8]
    assert [[round(loss, 6) for loss in row] for row in found] == [[0.5, 0.4, 0.3], [0.5, 0.3, 0.2], [0.5, 0.25, 0.3]]
    seen = {"unadapted": 0.5, "adapted": 0.2, "strength": 1.0, "passes": 4}
    assert guard.seen_by_guard(found, options) == pytest.approx(seen)


def test_each_half_is_trained_for_as_many_steps_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    support, (network, attached) = support_set(8), attached_network()
    options = TapOptions(passes=3, schedule="per_group", group=2, doublings=0, seed=2)
    steps: list[int] = []
    train = SupportTraining.train
    monkeypatch.setattr(
        SupportTraining, "train", lambda *given: (steps.append(len(losses)) or losses for losses in train(*given))
    )
    training = SupportTraining(network, attached, 1, options, {})
    guard.held_out_losses(training, support.images, support.masks)
    training.run(support.images, support.masks)
    assert steps == [12, 12, 12]


def test_every_guard_but_none_has_its_check() -> None:
    assert (*guard.CHECKS, "none") == GUARDS


@pytest.mark.parametrize("name", ["held_out", "held_out_masks"])
def test_a_guard_goes_by_probabilities_or_by_masks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network finds the right masks, but is sure by three quarters alone."""
    support, (network, attached) = support_set(1), attached_network()
    images, masks = support.images.repeat(4, 1, 1, 1), support.masks.repeat(4, 1, 1)

    def unsure(_: object, queries: tuple[torch.Tensor, ...], *__: object) -> torch.Tensor:
        chance = torch.where(masks[: len(queries[0])] > 0, 0.75, 0.25)
        return torch.stack([1 - chance, chance], dim=1).log()

    monkeypatch.setattr(guard, "recall_classes", unsure)
    monkeypatch.setattr(SupportTraining, "stages", lambda *_: iter([[]]))
    training = SupportTraining(network, attached, 1, replace(OPTIONS, guard=name), {})
    inside, outside = float((masks > 0).sum() / 4), float((masks == 0).sum() / 4)
    soft = 1 - (2 * 0.75 * inside + 100) / (0.75 * inside + 0.25 * outside + inside + 100)
    expected = soft if name == "held_out" else 0.0
    assert guard.held_out_losses(training, images, masks)[0] == pytest.approx([expected] * 3, abs=1e-3)
