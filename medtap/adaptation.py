"""Take a Peek (De Marinis et al., 2026): an encoder adapted to a support set by segmenting it with itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

import torch
from torch import Tensor

from medtap.adapted import AdaptedSegmenter
from medtap.adapters import Adapter, AttachedAdapter, Lora
from medtap.chance import seeded
from medtap.errors import OptionError
from medtap.frozen import frozen_parts_kept
from medtap.guard import NOTHING_HELD_OUT, at_strength, initial_values, look_at_halves, mean_course, seen_by_guard
from medtap.half_precision import rounded
from medtap.memory import give_back_buffers, keep_large_buffers
from medtap.networks.classes import remember_classes
from medtap.networks.segmenter import FewShotSegmenter, share_weights
from medtap.passes import SupportTraining, shots_in
from medtap.precision import autocast
from medtap.presence import learn_presence
from medtap.record import AdaptationRecord
from medtap.support import SupportSet
from medtap.tap_options import TapOptions

__all__ = ["TapOptions", "take_a_peek"]

Course: TypeAlias = tuple[list[float], dict[str, float]]
"""The losses of a training, and what its guard saw."""


def take_a_peek(
    segmenter: FewShotSegmenter,
    support: SupportSet,
    adapter: Adapter | None = None,
    options: TapOptions | None = None,
    device: torch.device | str = "cpu",
) -> AdaptedSegmenter:
    """Adapt a network's encoder to a support set; the network given stays as it is.

    Args:
        segmenter: a pretrained few-shot network.
        support: K images with masks.
        adapter: what is trained; LoRA by default.
        options: how it is trained.
        device: where.

    Returns:
        A network of one input, images [B,3,H,W] in [0,1], and one output, logits [B,N+1,H,W].

    Raises:
        OptionError: there are several classes, and the network looks at no support image to tell them apart.
        AdaptationError: the loss is not a number.
    """
    refuse_indistinct_classes(segmenter, support)
    adapter, options = (adapter or Lora()).suited(segmenter), options or TapOptions()
    keep_large_buffers()
    network = share_weights(segmenter).to(device).eval().requires_grad_(False)
    images, masks, volumes = support.pictures
    images, masks = images.to(device), masks.to(device)
    rates = network.rates.get(adapter.name, {}) if options.rates == "learned" else {}
    with seeded(options.seed, device):
        attached = adapter.attach(adapter.part(network))  # which may import peft, for seconds
        start = time.perf_counter()
        training = SupportTraining(network, attached, len(support.classes), options, rates)
        with frozen_parts_kept(network.encoder), autocast(options.precision, device, on_cpu=True):
            course = _guarded(training, images, masks, volumes)
    give_back_buffers()
    adapted = merged(network, attached, attached.state_dict(), support)
    adapted.record = record_of_course(segmenter, support, adapter, options, course, time.perf_counter() - start)
    return adapted


def refuse_indistinct_classes(segmenter: FewShotSegmenter, support: SupportSet) -> None:
    """Refuse several classes where a network looks at no support image.

    Raises:
        OptionError: it would give every class the same mask.
    """
    count = len(support.classes)
    if count > 1 and not segmenter.looks_at_support:
        raise OptionError(
            f"{segmenter.name!r} looks at no support image and would give every class the same mask",
            expected="1 class",
            found=f"{count}: {', '.join(support.classes)}",
            remedy="adapt to one class at a time, or train a class branch (bundles/sam_finetune)",
        )


def _guarded(training: SupportTraining, images: Tensor, masks: Tensor, volumes: Tensor) -> Course:
    """Train the adapter on halves of the set, and from their mean, at the strength that the guard finds best, on all.

    Returns:
        The losses, of the halves' steps their mean; and what the guard saw, empty without one: the Dice loss of
        held-out support images ``unadapted`` and ``adapted``, and the ``strength`` chosen. Of a single image the
        strength is 0. Where it is, the network is left as it was.
    """
    options = training.options
    if options.guard == "none" or options.passes == 0:
        return training.run(images, masks, volumes), {}
    if shots_in(masks) == 1:
        training.start()
        return [], dict(NOTHING_HELD_OUT)
    losses, mean, courses = look_at_halves(training, images, masks, volumes)
    seen = seen_by_guard(losses, options)
    start = initial_values(training.attached, options.seed)
    if seen["strength"] == 0:
        return [], seen
    closing = replace(training, options=replace(options, passes=options.closing))
    closed = closing.run(images, masks, volumes, at_strength(start, mean, seen["strength"]))
    return mean_course(courses) + closed, seen


def merged(
    network: FewShotSegmenter, attached: AttachedAdapter, trained: Mapping[str, Tensor], support: SupportSet
) -> AdaptedSegmenter:
    """The network with a trained adapter folded in, rounded to half precision as it is saved, and the set digested.

    Where the set tells it, so is how sure the network is of a class where it is and where it is not.
    """
    values = {name: rounded(value) for name, value in trained.items()}
    attached.load_state_dict(values)
    attached.merge()
    device = next(network.parameters()).device
    images, masks, volumes = support.pictures
    shots, masks = support.shots, masks.to(device)
    with torch.no_grad():
        features = network.encode(images.to(device))
        shown = tuple(level[:shots] for level in features)
        memory = remember_classes(network, shown, masks[:shots], len(support.classes))
    presence = learn_presence(network, features, memory, masks, volumes)
    return AdaptedSegmenter(network, memory, support.classes, values, presence=presence)


def record_of_course(
    segmenter: FewShotSegmenter,
    support: SupportSet,
    adapter: Adapter,
    options: TapOptions,
    course: Course,
    seconds: float,
) -> AdaptationRecord:
    """The record of an adaptation, with what its guard saw and what a user should know of that."""
    losses, check = course
    record = AdaptationRecord.of(segmenter, support, adapter, options, losses, seconds)
    return replace(record, check=check, warnings=(*record.warnings, *_told(check)))


def _told(check: Mapping[str, float]) -> tuple[str, ...]:
    if check.get("strength", 1.0) > 0:
        return ()
    if check == NOTHING_HELD_OUT:
        kept = "the unadapted network is kept; the guard `none` adapts all the same"
        return (f"a single support image cannot tell whether adapting helps: {kept}",)
    change = f"Dice loss {check['unadapted']:.3f} before and {check['adapted']:.3f} after"
    return (f"adapting did not help held-out support images ({change}): the unadapted network is kept",)
