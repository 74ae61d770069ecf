"""Take a Peek at many support sets: a network adapted to each of them, as many at once as can be."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from medtap.adaptation import Course, merged, record_of_course, refuse_indistinct_classes, take_a_peek
from medtap.adapted import AdaptedSegmenter
from medtap.adapters import Adapter, Lora
from medtap.adapters.stacked_lora import StackedLora
from medtap.chance import seeded
from medtap.errors import OptionError
from medtap.frozen import frozen_parts_kept
from medtap.guard import NOTHING_HELD_OUT, initial_values, mean_course, seen_by_guard
from medtap.many.guard import at_strengths, look_at_halves
from medtap.many.passes import ManyTraining
from medtap.memory import keep_large_buffers
from medtap.networks.segmenter import FewShotSegmenter, share_weights
from medtap.passes import SupportTraining, set_values, shots_in, values
from medtap.precision import autocast
from medtap.support import SupportSet
from medtap.tap_options import TapOptions


def take_many_peeks(
    segmenter: FewShotSegmenter,
    supports: Sequence[SupportSet],
    adapter: Adapter | None = None,
    options: TapOptions | None = None,
    device: torch.device | str = "cpu",
    at_once: int = 8,
) -> list[AdaptedSegmenter]:
    """Adapt a network to each of many support sets; what ``take_a_peek`` gives for each, to rounding.

    Sets of as many images, of one size, with as many classes, cut alike into volumes, are trained together by LoRA
    without dropout and patience: their factors are stacked, and one forward and one optimizer step serve all. What
    cannot be trained so is adapted one set after another, by every other adapter too.

    Args:
        segmenter: a pretrained few-shot network; it stays as it is.
        supports: of any shots, sizes and classes.
        adapter: what is trained; LoRA by default.
        options: how it is trained; each set has the seed to itself.
        device: where.
        at_once: how many sets share a forward at most; memory grows with it.

    Returns:
        The adapted networks, in the order of their support sets. The seconds that each tells are its share.

    Raises:
        OptionError: ``at_once`` is below 1; or as ``take_a_peek``.
        AdaptationError: a loss is not a number.
    """
    if at_once < 1:
        raise OptionError("support sets cannot be adapted fewer than one at once", found=str(at_once))
    adapter, options = (adapter or Lora()).suited(segmenter), options or TapOptions()
    for support in supports:
        refuse_indistinct_classes(segmenter, support)
    if not isinstance(adapter, Lora) or adapter.dropout or options.patience:
        return [take_a_peek(segmenter, support, adapter, options, device) for support in supports]
    adapted: dict[int, AdaptedSegmenter] = {}
    base = share_weights(segmenter).to(device).eval().requires_grad_(False)
    for numbers in alike(supports, at_once):
        together = adapt_together(base, [supports[number] for number in numbers], adapter, options)
        adapted |= dict(zip(numbers, together, strict=True))
    return [adapted[number] for number in range(len(supports))]


def alike(supports: Sequence[SupportSet], at_once: int) -> Iterator[list[int]]:
    """Numbers of the support sets that can be trained together, at most so many in a list."""
    groups: dict[object, list[int]] = {}
    for number, support in enumerate(supports):
        key = (support.images.shape, len(support.lacking), len(support.classes), tuple(support.volumes.tolist()))
        groups.setdefault(key, []).append(number)
    for numbers in groups.values():
        yield from (numbers[start : start + at_once] for start in range(0, len(numbers), at_once))


def adapt_together(
    base: FewShotSegmenter, supports: Sequence[SupportSet], lora: Lora, options: TapOptions
) -> list[AdaptedSegmenter]:
    """Adapt to support sets that are ``alike``, in one batched loop on the base network's device.

    Raises:
        AdaptationError: a loss is not a number.
    """
    keep_large_buffers()
    start, device = time.perf_counter(), next(base.parameters()).device
    images, masks, volumes = zip(*(support.pictures for support in supports), strict=True)
    together = torch.stack(images).to(device), torch.stack(masks).to(device), volumes[0]
    network = share_weights(base)
    rates = network.rates.get(lora.name, {}) if options.rates == "learned" else {}
    with seeded(options.seed, device):
        stacked = StackedLora(lora.part(network), lora, len(supports))
        many = ManyTraining(SupportTraining(network, stacked, len(supports[0].classes), options, rates))
        with frozen_parts_kept(network.encoder), autocast(options.precision, device, on_cpu=True):
            courses = _guarded(many, *together)
    adapted = []
    for number, support in enumerate(supports):
        network = share_weights(base)
        attached = lora.attach(lora.part(network))
        adapted.append(merged(network, attached, stacked.values_of(number), support))
    seconds = (time.perf_counter() - start) / len(supports)
    for one, support, course in zip(adapted, supports, courses, strict=True):
        one.record = record_of_course(base, support, lora, options, course, seconds)
    return adapted


def _guarded(many: ManyTraining, images: Tensor, masks: Tensor, volumes: Tensor) -> list[Course]:
    """Train stacked adapters on halves of their sets, and from the mean, each as the guard finds best, on all.

    Where the guard keeps the unadapted network, what the set learns in the closing passes is taken back.
    """
    training, options = many.training, many.training.options
    if options.guard == "none" or options.passes == 0:
        return [(losses, {}) for losses in many.run(images, masks, volumes)]
    if shots_in(masks[0]) == 1:
        training.start()
        return [([], dict(NOTHING_HELD_OUT)) for _ in images]
    losses, mean, courses = look_at_halves(many, images, masks, volumes)
    seen = [seen_by_guard(own, options) for own in losses]
    strengths = [own["strength"] for own in seen]
    start = initial_values(training.attached, options.seed)
    if not any(strengths):
        return [([], own) for own in seen]
    closing = ManyTraining(replace(training, options=replace(options, passes=options.closing)))
    closed = closing.run(images, masks, volumes, at_strengths(start, mean, strengths))
    kept = [float(strength > 0) for strength in strengths]
    set_values(training.attached, at_strengths(start, values(training.attached), kept))
    told = [mean_course(halves) + own for halves, own in zip(zip(*courses, strict=True), closed, strict=True)]
    return [(own if keep else [], check) for own, keep, check in zip(told, kept, seen, strict=True)]
