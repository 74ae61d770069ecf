"""Frozen parts of an encoder are computed once for the same pictures, and give the very same bits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from medtap.adaptation import take_a_peek
from medtap.adapters import Lora, Svf
from medtap.frozen import frozen_parts, frozen_parts_kept
from medtap.networks.segmenter import share_weights
from medtap.tap_options import TapOptions
from tests.networks.tiny_blocks import tiny_dcama
from tests.tiny import random_images, support_set, tiny_network


class Counting(nn.Module):
    """A frozen layer that counts its calls and adds one to what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1), requires_grad=False)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x + self.weight


class Chain(nn.Module):
    """Frozen, trained, frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.trained, self.last = Counting(), nn.Linear(2, 2), Counting()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.trained(self.first(x)))


def test_frozen_parts_are_the_largest_ones() -> None:
    network = tiny_network()
    Lora(rank=2, targets="re:stages[.][23][.]").attach(network.encoder)
    names = {part: name for name, part in network.encoder.named_modules()}
    found = {names[part] for part in frozen_parts(network.encoder)}
    assert {"detail", "backbone.embeddings", "backbone.encoder.stages.0", "backbone.encoder.stages.1"} <= found
    assert not any(name.startswith("backbone.encoder.stages.0.") for name in found)


def test_a_frozen_part_is_called_once_for_the_same_values() -> None:
    chain, x = Chain(), torch.ones(1, 2)
    with frozen_parts_kept(chain):
        outputs = [chain(x.clone()) for _ in range(3)]
        assert (chain.first.calls, chain.last.calls) == (1, 3)
        chain(x + 1)
        assert chain.first.calls == 2
    chain(x)
    assert chain.first.calls == 3
    assert torch.equal(outputs[0], outputs[2])
    assert "forward" not in vars(chain.first)


def test_a_result_that_was_changed_in_place_is_computed_anew() -> None:
    chain, x = Chain(), torch.ones(1, 2)
    with frozen_parts_kept(chain):
        chain.first(x).add_(1)
        assert torch.equal(chain.first(x), x + 1)
        x.add_(3)
        assert torch.equal(chain.first(x), x + 1)


def test_only_what_was_kept_in_training_is_kept_without_gradients() -> None:
    chain, x = Chain(), torch.ones(1, 2)
    with frozen_parts_kept(chain):
        chain(x)
        with torch.no_grad():
            chain(x), chain(x)
    assert (chain.first.calls, chain.last.calls) == (1, 3)


def test_a_part_that_hooks_watch_from_inside_is_run() -> None:
    whole = nn.Sequential(nn.Sequential(Counting()), nn.Linear(2, 2))
    seen: list[Tensor] = []
    with frozen_parts_kept(whole):
        for _ in range(2):
            handle = whole[0][0].register_forward_hook(lambda _, __, output: seen.append(output))
            whole(torch.ones(1, 2))
            handle.remove()
    assert len(seen) == 2


@pytest.mark.parametrize("backbone", ["resnet50", "swin-b"])
def test_encoders_that_record_their_blocks_adapt_at_a_late_stage(backbone: str) -> None:
    network = tiny_dcama(backbone)[0]
    options = TapOptions(passes=2, learning_rate=1e-2, guard="none", precision="float32")
    adapter = Svf(targets="re:(stages|layers)[.][123][.]")
    assert len(take_a_peek(network, support_set(3), adapter, options).record.losses) == 2


def test_parts_are_given_back_after_an_error() -> None:
    chain = Chain()
    with pytest.raises(RuntimeError, match="shapes"), frozen_parts_kept(chain):
        chain(torch.ones(1, 3))
    assert "forward" not in vars(chain.first)


@pytest.mark.parametrize(("shots", "guard"), [(1, "none"), (4, "none"), (4, "held_out")])
def test_adapters_have_the_same_bytes_with_and_without(shots: int, guard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    support, options = support_set(shots), TapOptions(passes=2, learning_rate=1e-2, guard=guard, forgiven=1.0)
    adapter, logits = Lora(rank=2, targets="re:stages[.][23][.]"), []
    for parts in (frozen_parts, lambda _: ()):
        monkeypatch.setattr("medtap.frozen.frozen_parts", parts)
        with torch.no_grad():
            logits.append(take_a_peek(share_weights(tiny_network()), support, adapter, options)(random_images(2)))
    assert torch.equal(*logits)


class Neck(nn.Module):
    """Trained, and then a frozen part that is given two maps as one tuple, as SAM 2's neck is."""

    def __init__(self) -> None:
        super().__init__()
        self.trained, self.sum = nn.Linear(2, 2), Summing()

    def forward(self, x: Tensor) -> Tensor:
        return self.sum((x, x)) + self.sum((x, self.trained(x)))


class Summing(Counting):
    """A frozen layer that counts its calls and adds up what it is given."""

    def forward(self, x: tuple[Tensor, ...]) -> Tensor:  # type: ignore[override]
        return super().forward(sum(x))


def test_tensors_inside_of_what_a_part_is_given_count_too() -> None:
    neck, x = Neck(), torch.ones(2, 2)
    plain = neck(x)
    neck.sum.calls = 0
    with frozen_parts_kept(neck):
        outputs = [neck(x.clone()) for _ in range(3)]
        assert neck.sum.calls == 1 + 3
        torch.testing.assert_close(neck(2 * x), neck(x + 1), rtol=0, atol=0)
    assert all(torch.equal(output, plain) for output in outputs)
