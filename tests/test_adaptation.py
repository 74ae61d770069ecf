"""The loop of Take a Peek."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from medtap import adaptation
from medtap.adaptation import take_a_peek
from medtap.adapted import AdaptedSegmenter
from medtap.adapters import AttachedAdapter, Lora
from medtap.errors import AdaptationError, OptionError
from medtap.guard import at_strength, initial_values
from medtap.losses import dice_ce_loss, support_loss
from medtap.networks.classes import recall_classes, remember_classes
from medtap.networks.segmenter import FewShotSegmenter, share_weights
from medtap.networks.shots import leave_one_out
from medtap.passes import SupportTraining, pseudo_queries, pseudo_query_loss
from medtap.tap_options import LOSSES, TapOptions
from tests.networks.tiny_sam import tiny_sam
from tests.plain_tap import plain_take_a_peek
from tests.tiny import random_images, support_set, tiny_network

LORA = Lora(rank=4, dropout=0.0)
PAPER = TapOptions(
    passes=3,
    loss="focal",
    schedule="per_support",
    learning_rate=1e-2,
    views=0,
    guard="none",
    precision="float32",
)


def unadapted(network: FewShotSegmenter, shots: int = 3, classes: int = 1) -> Tensor:
    support, query = support_set(shots, classes), random_images(2, seed=9)
    memory = remember_classes(network, network.encode(support.images), support.masks, classes)
    return recall_classes(network, network.encode(query), memory, query.shape[-2:])


def adapted_logits(adapted: AdaptedSegmenter) -> Tensor:
    with torch.no_grad():
        return adapted(random_images(2, seed=9))


@pytest.mark.parametrize("shots", [1, 2, 5])
def test_loop_equals_the_paper_s_algorithm_stated_plainly(shots: int) -> None:
    network, support, query = tiny_network(), support_set(shots), random_images(2, seed=9)
    adapted = take_a_peek(network, support, LORA, PAPER)
    plain = plain_take_a_peek(network, support.images, support.masks, rank=4, passes=3, rate=1e-2, seed=0)
    with torch.no_grad():
        shown = support.images.expand(2, -1, -1, -1, -1), support.masks.expand(2, -1, -1, -1).float()
        expected = plain(query, *shown)
    logits = adapted_logits(adapted)
    moved = (logits - unadapted(network, shots)).abs().max()
    assert moved > 0.01
    torch.testing.assert_close(logits[:, 1] - logits[:, 0], expected[:, 1] - expected[:, 0], atol=1e-4, rtol=0)


def test_a_pass_at_once_is_the_mean_of_separate_pseudo_queries() -> None:
    network, support = tiny_network(), support_set(4, 2)
    options = TapOptions(passes=1)
    ((_, step),) = pseudo_queries(support.images, support.masks, options, Generator())
    at_once = pseudo_query_loss(network, step, 2)
    alone = []
    for query in range(4):
        others = [shot for shot in range(4) if shot != query]
        memory = remember_classes(network, network.encode(support.images[others]), support.masks[others], 2)
        logits = recall_classes(network, network.encode(support.images[[query]]), memory, support.masks.shape[-2:])
        alone.append(support_loss(logits, support.masks[[query]]))
    torch.testing.assert_close(at_once, torch.stack(alone).mean(), atol=1e-6, rtol=1e-5)


def test_schedules_take_their_number_of_steps() -> None:
    network, support = tiny_network(), support_set(4)
    per_pass = take_a_peek(network, support, LORA, TapOptions(passes=3, guard="none"))
    per_support = take_a_peek(network, support, LORA, TapOptions(passes=3, schedule="per_support", guard="none"))
    assert len(per_pass.record.losses) == 3
    assert len(per_support.record.losses) == 12


def test_paper_s_schedule_keeps_a_fixed_order() -> None:
    support = support_set(3)
    drawn = pseudo_queries(support.images, support.masks, replace(PAPER, passes=2), Generator())
    steps = [step for _, step in drawn]
    assert [step.queries.tolist() for step in steps] == [[0], [1], [2]] * 2
    assert [step.shots.tolist() for step in steps] == [[[1, 2]], [[0, 2]], [[0, 1]]] * 2
    assert all(step.images is support.images for step in steps)


def test_supports_are_drawn_anew_in_every_pass() -> None:
    support, options = support_set(8), TapOptions(passes=3, drawn=2)
    steps = [step for _, step in pseudo_queries(support.images, support.masks, options, Generator().manual_seed(0))]
    assert all(step.queries.tolist() == list(range(8)) and step.shots.shape == (8, 2) for step in steps)
    assert not torch.equal(steps[0].shots, steps[1].shots)


def test_all_other_supports_are_taken_where_none_are_drawn() -> None:
    support = support_set(8)
    ((_, step),) = pseudo_queries(support.images, support.masks, TapOptions(passes=1), Generator())
    assert step.shots.tolist() == [[other for other in range(8) if other != query] for query in range(8)]


def test_views_stand_in_for_the_images() -> None:
    support, options = support_set(2), TapOptions(passes=2, augment="mirrored")
    (_, first), (_, second) = pseudo_queries(support.images, support.masks, options, Generator().manual_seed(0))
    assert first.images.shape == support.images.shape
    assert not torch.equal(first.images, support.images)
    assert not torch.equal(first.images, second.images)


@pytest.mark.parametrize("views", [0, 3])
def test_one_image_is_its_own_pseudo_query_beside_its_views(views: int) -> None:
    support, options = support_set(1), TapOptions(passes=1, views=views)
    ((_, step),) = pseudo_queries(support.images, support.masks, options, Generator().manual_seed(0))
    assert step.queries.tolist() == list(range(1 + views))
    assert step.shots.tolist() == [[0]] * (1 + views)
    assert torch.equal(step.images[:1], support.images)
    assert torch.equal(step.masks[:1], support.masks)
    assert all(not torch.equal(view, support.images[0]) for view in step.images[1:])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("schedule", "passes"), [("per_pass", 20), ("per_support", 10)])
@pytest.mark.parametrize("shots", [1, 5])
def test_training_lowers_the_support_loss(shots: int, schedule: str, passes: int, loss: str) -> None:
    options = TapOptions(passes=passes, learning_rate=3e-2, schedule=schedule, loss=loss, guard="none")
    losses = take_a_peek(tiny_network(), support_set(shots), LORA, options).record.losses
    assert sum(losses[-4:]) < (0.95 if loss == "focal" else 0.99) * sum(losses[:4])


@pytest.mark.parametrize(("shots", "classes"), [(1, 1), (5, 3), (15, 2)])
def test_no_pass_leaves_the_network_unadapted(shots: int, classes: int) -> None:
    network = tiny_network()
    adapted = take_a_peek(network, support_set(shots, classes), LORA, TapOptions(passes=0))
    assert adapted.record.losses == ()
    assert torch.equal(adapted_logits(adapted), unadapted(network, shots, classes))


@pytest.mark.parametrize(("shots", "classes"), [(1, 3), (5, 3), (15, 1)])
def test_shapes_of_classes_and_shots(shots: int, classes: int) -> None:
    adapted = take_a_peek(tiny_network(), support_set(shots, classes), LORA, TapOptions(passes=1))
    assert adapted_logits(adapted).shape == (2, classes + 1, 64, 64)
    assert all(kept.shape[:2] == (classes, shots) for kept in adapted.memory)
    assert adapted(random_images(1, 70, 45)).shape == (1, classes + 1, 70, 45)


def test_network_given_stays_bit_for_bit_what_it_was() -> None:
    network = tiny_network().train()
    network.encoder.detail.requires_grad_(True)
    values = {name: value.clone() for name, value in network.state_dict().items()}
    flags = [parameter.requires_grad for parameter in network.parameters()]
    names = [(name, type(module), module.training) for name, module in network.named_modules()]
    take_a_peek(network, support_set(3), LORA, PAPER)
    assert all(torch.equal(value, values[name]) for name, value in network.state_dict().items())
    assert [parameter.requires_grad for parameter in network.parameters()] == flags
    assert [(name, type(module), module.training) for name, module in network.named_modules()] == names
    assert all(parameter.grad is None for parameter in network.parameters())


def test_only_the_encoder_changes() -> None:
    network = tiny_network()
    adapted = take_a_peek(network, support_set(3), LORA, PAPER).network
    before, after = network.state_dict(), adapted.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert len(changed) == 8
    assert all(name.startswith("encoder.backbone.") and ".pwconv" in name for name in changed)
    assert not any(parameter.requires_grad for parameter in adapted.parameters())
    assert not any(module.training for module in adapted.modules())


def test_same_seed_same_bytes_and_other_seed_other_values(tmp_path: Path) -> None:
    contents = []
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        options = TapOptions(passes=2, drawn=2, augment="upright", seed=seed)
        torch.rand(seed + len(name))  # what was drawn before does not matter
        take_a_peek(tiny_network(), support_set(4), Lora(rank=4, dropout=0.3), options).save(tmp_path / name)
        contents.append((tmp_path / name / "adapter.safetensors").read_bytes())
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


def test_global_chance_is_untouched() -> None:
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    take_a_peek(tiny_network(), support_set(1), Lora(rank=4, dropout=0.3), TapOptions(passes=2))
    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002


def test_a_gpu_that_is_not_used_is_not_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    network, seeded = tiny_network(), []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    take_a_peek(network, support_set(2), LORA, TapOptions(passes=1))
    assert not seeded


def test_it_adapts_where_gradients_are_switched_off() -> None:
    with torch.no_grad():
        adapted = take_a_peek(tiny_network(), support_set(3), LORA, PAPER)
    assert torch.equal(
        adapted_logits(adapted), adapted_logits(take_a_peek(tiny_network(), support_set(3), LORA, PAPER))
    )


def test_dropout_is_off_once_adapted() -> None:
    adapted = take_a_peek(tiny_network(), support_set(3), Lora(rank=4, dropout=0.5), TapOptions(passes=2))
    assert torch.equal(adapted_logits(adapted), adapted_logits(adapted))


def test_loss_that_is_not_a_number_is_an_error() -> None:
    options = TapOptions(passes=4, learning_rate=1e30)
    with pytest.raises(AdaptationError, match=r"the loss is not a number at step 2; lower the learning rate"):
        take_a_peek(tiny_network(), support_set(3), LORA, options)


def test_auxiliary_loss_trains_and_is_left_out_of_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = take_a_peek(tiny_network(), support_set(3), LORA, TapOptions(passes=1, guard="none"))
    monkeypatch.setattr(AttachedAdapter, "auxiliary_loss", lambda self: sum(map(torch.sum, self.parameters())))
    more = take_a_peek(tiny_network(), support_set(3), LORA, TapOptions(passes=1, guard="none"))
    assert more.record.losses == plain.record.losses
    assert not torch.equal(adapted_logits(more), adapted_logits(plain))


def test_options_that_cannot_be_are_refused_all_at_once() -> None:
    with pytest.raises(OptionError) as refusal:
        TapOptions(
            passes=-1, learning_rate=0, weight_decay=-1, schedule="per_step", drawn=-1, group=1, views=-1, loss="dice"
        )
    for mistake in (
        "passes of at least 0, not -1",
        "a learning rate above 0, not 0",
        "a weight decay of at least 0, not -1",
        "a schedule of per_pass or per_group or per_support, not 'per_step'",
        "drawn of at least 0, not -1",
        "a group of at least 2, not 1",
        "a loss of focal or dice_ce, not 'dice'",
        "views of at least 0, not -1",
    ):
        assert mistake in str(refusal.value)


def test_nothing_is_said_to_the_user(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        take_a_peek(tiny_network(), support_set(3), LORA, TapOptions(passes=1))
    assert capfd.readouterr() == ("", "")


def test_record_tells_the_course() -> None:
    support = support_set(3)
    options = TapOptions(passes=2, seed=5, guard="none", precision="float32")
    record = take_a_peek(tiny_network(), support, LORA, options).record
    assert (record.network, record.method, record.shots, record.size) == ("tiny", "lora", 3, 64)
    assert record.support_sha256 == support.sha256
    assert record.tap["seed"] == 5
    assert record.adapter == {"rank": 4, "alpha": None, "dropout": 0.0, "targets": "auto"}
    assert record.cost["adapt_seconds"] > 0
    features = tiny_network().encode(support.images)
    memory = remember_classes(tiny_network(), features, support.masks, 1)
    logits = recall_classes(tiny_network(), features, memory, support.masks.shape[-2:], leave_one_out(3))
    assert record.losses[0] == pytest.approx(dice_ce_loss(logits, support.masks).item(), abs=1e-5)


def test_lora_goes_where_the_network_was_trained_to_be_adapted() -> None:
    network = tiny_network()
    network.targets = "re:stages[.]3[.]"
    placed = take_a_peek(network, support_set(2), LORA, TapOptions(passes=1)).record
    assert placed.adapter["targets"] == "re:stages[.]3[.]"
    chosen = Lora(rank=2, targets="pointwise")
    assert take_a_peek(network, support_set(2), chosen, TapOptions(passes=1)).record.adapter["targets"] == "pointwise"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("shots", [1, 5])
def test_gpu_adapts_like_the_cpu(shots: int) -> None:
    network, support, query = tiny_network(), support_set(shots), random_images(2, seed=9)
    options = TapOptions(passes=3)
    state = torch.cuda.get_rng_state()
    on_cpu = take_a_peek(network, support, LORA, options)
    on_gpu = take_a_peek(network, support, LORA, options, device="cuda")
    assert all(tensor.is_cuda for tensor in on_gpu.state_dict().values())
    assert not any(parameter.is_cuda for parameter in network.parameters())
    assert torch.equal(torch.cuda.get_rng_state(), state)
    with torch.no_grad():
        torch.testing.assert_close(on_gpu(query.cuda()).cpu(), on_cpu(query), atol=1e-2, rtol=0)
    overlap = F.cosine_similarity(torch.tensor(on_gpu.record.losses), torch.tensor(on_cpu.record.losses), dim=0)
    assert overlap > 0.999


def test_several_threads_give_the_same_bits() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        support, options = support_set(4, classes=2, size=256), TapOptions(passes=3)
        runs = [take_a_peek(tiny_network(), support, options=options).state_dict() for _ in range(3)]
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(value, again[name]) for again in runs[1:] for name, value in runs[0].items())


def guarded(monkeypatch: pytest.MonkeyPatch, losses: list[float], network: FewShotSegmenter) -> AdaptedSegmenter:
    """Adapted under a guard that sees these losses of held-out images."""
    look = adaptation.look_at_halves
    monkeypatch.setattr(adaptation, "look_at_halves", lambda *given: look(*given)._replace(losses=torch.tensor(losses)))
    return take_a_peek(network, support_set(3), LORA, TapOptions(passes=2, closing=1, learning_rate=1e-2))


def test_guard_takes_back_what_does_not_help(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny_network()
    adapted = guarded(monkeypatch, [0.5, 0.6, 0.7], network)
    assert adapted.record.check == {"unadapted": 0.5, "adapted": 0.6, "strength": 0.0}
    assert not adapted.record.losses
    (warning,) = adapted.record.warnings
    assert "held-out support images (Dice loss 0.500 before and 0.600 after): the unadapted network is kept" in warning
    plain = adapted_logits(take_a_peek(network, support_set(3), LORA, TapOptions(passes=0)))
    torch.testing.assert_close(adapted_logits(adapted), plain)


@pytest.mark.parametrize("classes", [1, 2])
def test_guard_keeps_the_unadapted_network_where_there_is_a_single_image(classes: int) -> None:
    network, support = tiny_network(), support_set(1, classes)
    adapted, plain = (take_a_peek(network, support, LORA, TapOptions(passes=passes)) for passes in (2, 0))
    assert adapted.record.check == {"strength": 0.0}
    assert not adapted.record.losses
    assert "cannot tell whether adapting helps: the unadapted network is kept" in adapted.record.warnings[-1]
    torch.testing.assert_close(adapted_logits(adapted), adapted_logits(plain))


@pytest.mark.parametrize("strength", [1.0, 2.0])
def test_guard_goes_on_from_the_mean_of_the_halves(strength: float, monkeypatch: pytest.MonkeyPatch) -> None:
    network, support = tiny_network(), support_set(3)
    adapted = guarded(monkeypatch, [0.5, 0.4, 0.6 - 0.15 * strength], network)
    assert adapted.record.check["strength"] == strength
    assert (len(adapted.record.losses), adapted.record.passes) == (3, 3)
    assert not adapted.record.warnings
    own = share_weights(network).eval().requires_grad_(False)
    attached = LORA.attach(own.encoder)
    training = SupportTraining(own, attached, 1, TapOptions(passes=2, learning_rate=1e-2), {})
    start = initial_values(attached, 0)
    _, mean, _ = adaptation.look_at_halves(training, support.images, support.masks)
    closing = replace(training, options=replace(training.options, passes=1))
    closing.run(support.images, support.masks, begin=at_strength(start, mean, strength))
    for name, value in attached.state_dict().items():
        torch.testing.assert_close(adapted.adapter[name].float(), value.detach(), atol=1e-3, rtol=1e-2)


def trained(options: TapOptions, rates: dict[str, float] | None = None) -> dict[str, torch.Tensor]:
    """An adapter's values after its passes."""
    network, support = share_weights(tiny_network()), support_set(3)
    attached = Lora(rank=2, dropout=0.0).attach(network.encoder)
    SupportTraining(network, attached, 1, options, rates or {}).run(support.images, support.masks)
    return attached.state_dict()


def test_adapters_of_the_last_passes_are_averaged() -> None:
    averaged = trained(replace(PAPER, schedule="per_pass", passes=3, average=2))
    second, third = (trained(replace(PAPER, schedule="per_pass", passes=passes)) for passes in (2, 3))
    for name, value in averaged.items():
        torch.testing.assert_close(value, (second[name] + third[name]) / 2)


def test_learned_rates_multiply_each_layer_s_learning_rate() -> None:
    layers = {name.partition(".lora_")[0] for name in trained(PAPER)}
    still = sorted(layers)[0]
    values = trained(PAPER, {still: 0.0})
    moved = {name.partition(".lora_")[0]: bool(value.any()) for name, value in values.items() if ".lora_B" in name}
    assert moved == {layer: layer != still for layer in layers}


@pytest.mark.parametrize(("rates", "used"), [("learned", True), ("even", False)])
def test_network_s_learned_rates_are_used_unless_even(rates: str, used: bool) -> None:
    network, support = tiny_network(), support_set(3)
    options = TapOptions(passes=2, learning_rate=1e-2, rates=rates, guard="none")
    plain = adapted_logits(take_a_peek(network, support, LORA, options))
    attached = LORA.attach(share_weights(network).encoder)
    network.rates = {"lora": dict.fromkeys(attached.layers(), 0.1)}
    assert torch.equal(adapted_logits(take_a_peek(network, support, LORA, options)), plain) != used


@pytest.mark.parametrize("branch", [0, 2])
def test_several_classes_are_refused_of_a_network_that_looks_at_no_support_image(branch: int) -> None:
    with pytest.raises(OptionError, match=r"every class the same mask; expected 1 class; found 2: class-1, class-2"):
        take_a_peek(tiny_sam(branch), support_set(2, classes=2), LORA, PAPER)
