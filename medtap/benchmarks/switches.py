"""Changes of how medtap computes, which the benchmark of tricks makes one at a time."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from medtap.losses import Loss, support_loss
from medtap.networks.classes import recall_classes, remember_classes
from medtap.networks.segmenter import FewShotSegmenter, share_weights
from medtap.options import refuse_unknown_choice
from medtap.passes import PseudoQueries, pseudo_query_loss


def decoded_one_by_one(
    network: FewShotSegmenter, step: PseudoQueries, classes: int, loss: Loss = support_loss
) -> Tensor:
    """The loss of a step whose pictures are encoded once, its pseudo-queries decoded one after another."""
    features = network.encode(step.images)
    memory = remember_classes(network, features, step.masks, classes)
    losses = []
    for query, shots in zip(step.queries.split(1), step.shots.split(1), strict=True):
        own = tuple(level.index_select(0, query) for level in features)
        logits = recall_classes(network, own, memory, step.masks.shape[-2:], shots)
        losses.append(loss(logits, step.masks[query]))
    return torch.stack(losses).mean()


def encoded_one_by_one(
    network: FewShotSegmenter, step: PseudoQueries, classes: int, loss: Loss = support_loss
) -> Tensor:
    """The loss of a step whose pictures are all encoded anew for each of its pseudo-queries."""
    parts = zip(step.queries.split(1), step.shots.split(1), strict=True)
    alone = [replace(step, queries=query, shots=shots) for query, shots in parts]
    return torch.stack([pseudo_query_loss(network, own, classes, loss) for own in alone]).mean()


def channels_last(network: FewShotSegmenter) -> FewShotSegmenter:
    """A copy that shares its weights, but for those of convolutions, which are laid out with channels last."""
    return share_weights(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _nothing(*_: Any) -> AbstractContextManager[None]:
    return nullcontext()


def _bfloat16(*_: Any, **__: Any) -> AbstractContextManager[object]:
    return torch.autocast("cpu", torch.bfloat16)


SWITCHES: dict[str, tuple[str, Any]] = {
    "frozen_parts_computed": ("medtap.adaptation.frozen_parts_kept", _nothing),
    "buffers_given_back": ("medtap.adaptation.keep_large_buffers", _nothing),
    "decoded_one_by_one": ("medtap.passes.pseudo_query_loss", decoded_one_by_one),
    "encoded_one_by_one": ("medtap.passes.pseudo_query_loss", encoded_one_by_one),
    "adapter_not_merged": ("medtap.adapters.attached_peft.AttachedPeft.merge", _nothing),
    "channels_last": ("medtap.adaptation.share_weights", channels_last),
    "bfloat16_queries": ("medtap.inference.autocast", _bfloat16),
}
"""By name, what is replaced and by what."""


def switched(name: str) -> AbstractContextManager[object]:
    """Within, medtap computes as a switch says; as ever where the name is empty.

    Raises:
        OptionError: no switch has that name.
    """
    if not name:
        return nullcontext()
    refuse_unknown_choice(f"no switch is called {name!r}", name, SWITCHES)
    return patch(*SWITCHES[name])
