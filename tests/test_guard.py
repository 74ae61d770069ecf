"""How far an adaptation is trusted, by support images it was not trained on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from medtap import guard
from medtap.adapters import AttachedAdapter, Lora
from medtap.networks.segmenter import FewShotSegmenter, share_weights
from medtap.passes import SupportTraining
from medtap.tap_options import GUARDS, TapOptions
from tests.tiny import support_set, tiny_network

OPTIONS = TapOptions(passes=3, learning_rate=1e-2, seed=2)


def attached_network() -> tuple[FewShotSegmenter, AttachedAdapter]:
    network = share_weights(tiny_network())
    return network, Lora(rank=2, dropout=0.0).attach(network.encoder)


def losses(shots: int, options: TapOptions = OPTIONS, classes: int = 1) -> list[float]:
    support, (network, attached) = support_set(shots, classes), attached_network()
    training = SupportTraining(network, attached, classes, options, {})
    return guard.look_at_halves(training, support.images, support.masks).losses.tolist()


@pytest.mark.parametrize("shots", [2, 3, 5])
def test_each_half_is_segmented_by_the_other_alone(shots: int, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[torch.Tensor] = []
    monkeypatch.setattr(SupportTraining, "run", lambda _, images, *__: trained.append(images))
    checked: list[tuple[torch.Tensor, torch.Tensor]] = []

    def told(_: object, images: torch.Tensor, __: object, halves: list[guard.Half]) -> list[torch.Tensor]:
        checked.extend((images[seen], images[held_out]) for seen, held_out in halves)
        return [torch.tensor(1.0) for _ in halves]

    monkeypatch.setattr(guard, "_dice_losses", told)
    assert losses(shots) == pytest.approx([1.0, 1.0, 1.0])
    assert len(trained) == 2
    images = support_set(shots).images
    assert len(checked) == 2 * len(guard.STRENGTHS)
    first, second = trained
    for seen, (support, queries) in zip([first, second, first, first, second, second], checked, strict=True):
        assert torch.equal(seen, support)
        both = torch.cat([support, queries]).flatten(1)
        assert torch.equal(both[both[:, 0].argsort()], images.flatten(1)[images.flatten(1)[:, 0].argsort()])


def test_no_volume_is_in_both_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    support, (network, attached) = support_set(6), attached_network()
    volumes = torch.tensor([0, 0, 0, 3, 3, 5])
    trained: list[torch.Tensor] = []
    monkeypatch.setattr(SupportTraining, "run", lambda *given: trained.append(given[-1]))
    monkeypatch.setattr(guard, "_dice_losses", lambda *given: [torch.tensor(1.0) for _ in given[-1]])
    training = SupportTraining(network, attached, 1, OPTIONS, {})
    guard.look_at_halves(training, support.images, support.masks, volumes)
    assert sorted(torch.cat(trained).tolist()) == volumes.tolist()
    assert not set(trained[0].tolist()) & set(trained[1].tolist())


@pytest.mark.parametrize(("shots", "classes"), [(2, 1), (4, 2)])
def test_losses_are_the_same_again_and_differ_by_strength(shots: int, classes: int) -> None:
    first = losses(shots, classes=classes)
    assert first == losses(shots, classes=classes)
    assert len(set(first)) == len(guard.STRENGTHS)
    assert all(0 < loss < 1 for loss in first)


def test_no_strength_is_the_unadapted_network() -> None:
    weak = losses(4, TapOptions(passes=1, learning_rate=1e-9, seed=2))
    assert losses(4)[0] == pytest.approx(weak[0], abs=1e-6)
    assert weak == pytest.approx([weak[0]] * 3, abs=1e-6)


def test_the_mean_counts_each_half_by_its_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    network, attached = attached_network()
    support, state = support_set(5), attached.state_dict()

    def run(training: SupportTraining, images: torch.Tensor, *_: object) -> None:
        training.attached.load_state_dict({name: torch.full_like(value, len(images)) for name, value in state.items()})

    monkeypatch.setattr(SupportTraining, "run", run)
    training = SupportTraining(network, attached, 1, OPTIONS, {})
    for value in guard.look_at_halves(training, support.images, support.masks).mean:
        torch.testing.assert_close(value, torch.full_like(value, (2 * 2 + 3 * 3) / 5))


@pytest.mark.parametrize("strength", guard.STRENGTHS)
def test_strength_is_how_far_an_adapter_goes(strength: float) -> None:
    _, attached = attached_network()
    start = guard.initial_values(attached, seed=0)
    for value, first in zip(guard.at_strength(start, [first + 2 for first in start], strength), start, strict=True):
        torch.testing.assert_close(value, first + 2 * strength)


@pytest.mark.parametrize(
    ("losses", "strength"),
    [
        ([0.4, 0.2, 0.3], 1.0),
        ([0.4, 0.3, 0.1], 2.0),
        ([0.1, 0.3, 0.4], 0.0),
        ([0.3, 0.2, 0.2], 1.0),
        ([0.200, 0.208, 0.209], 1.0),  # half of the set teaches less than all: a point is forgiven, of more too
        ([0.200, 0.209, 0.208], 2.0),
        ([0.200, 0.211, 0.212], 0.0),
    ],
)
def test_best_strength_has_the_least_loss_but_for_what_is_forgiven(losses: list[float], strength: float) -> None:
    assert guard.best_strength(losses, forgiven=0.01) == strength


@pytest.mark.parametrize(
    ("losses", "adapted", "strength"),
    [([0.5, 0.4, 0.3], 0.3, 2.0), ([0.5, 0.4, 0.6], 0.4, 1.0), ([0.3, 0.4, 0.5], 0.4, 0)],
)
def test_a_record_tells_the_loss_at_the_strength_chosen(losses: list[float], adapted: float, strength: float) -> None:
    seen = guard.seen_by_guard(torch.tensor(losses), OPTIONS)
    assert seen == {"unadapted": losses[0], "adapted": adapted, "strength": strength}


def test_each_half_is_trained_for_as_many_steps_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    support, (network, attached) = support_set(8), attached_network()
    options = TapOptions(passes=3, schedule="per_group", group=2, seed=2)
    steps: list[int] = []
    train = SupportTraining.train

    def counted(*given: object) -> list[float]:
        losses = train(*given)
        steps.append(len(losses))
        return losses

    monkeypatch.setattr(SupportTraining, "train", counted)
    training = SupportTraining(network, attached, 1, options, {})
    guard.look_at_halves(training, support.images, support.masks)
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
    monkeypatch.setattr(SupportTraining, "run", lambda *_: [])
    training = SupportTraining(network, attached, 1, replace(OPTIONS, guard=name), {})
    inside, outside = float((masks > 0).sum() / 4), float((masks == 0).sum() / 4)
    soft = 1 - (2 * 0.75 * inside + 100) / (0.75 * inside + 0.25 * outside + inside + 100)
    expected = soft if name == "held_out" else 0.0
    assert guard.look_at_halves(training, images, masks).losses.tolist() == pytest.approx([expected] * 3, abs=1e-3)
