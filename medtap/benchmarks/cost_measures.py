"""What one setting costs: adapting, a query, the floors of both, and the reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median

import torch
from torch import Generator, Tensor

from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapters import Lora
from medtap.benchmarks.cost_options import BuiltNetwork, CostOptions, Setting
from medtap.benchmarks.reference import ReferenceRun
from medtap.benchmarks.timing import seconds_in_turns, seconds_of, spread
from medtap.chance import seeded
from medtap.frozen import frozen_parts_kept
from medtap.memory import peak_memory_mb
from medtap.networks.segmenter import FewShotSegmenter, share_weights
from medtap.networks.zoo import build_network, load_network
from medtap.precision import autocast
from medtap.pretraining.synthetic import generated_task
from medtap.support import SupportSet


def measure(setting: Setting, cost: CostOptions, seed: int) -> dict[str, float]:
    """Measure one setting.

    Returns:
        Medians and interquartile ranges (``_spread``) of the seconds of adapting, of a query, of their floors and of
        the reference, the ratios between medians, and the peak of memory in MB of 2^20 bytes of adapting and one query.
    """
    network = network_of(setting.network, cost.built)
    images, masks = generated_task(max(setting.shots, 2), setting.size, Generator().manual_seed(seed))
    support = SupportSet.from_tensors(images[: setting.shots], masks[: setting.shots], ("thing",))
    options, query = TapOptions(passes=setting.passes, guard="none", seed=seed), images[-1:]
    with torch.no_grad():
        adapted = take_a_peek(network, support, Lora(), options)
        adapted(query)
        peak = peak_memory_mb()
        whole, floor = seconds_in_turns([lambda: adapted(query), lambda: network.encode(query)], 10 * cost.repeats)
        adapting = seconds_of(lambda: take_a_peek(network, support, Lora(), options), cost.repeats, 0)
        times = {"query_seconds": whole, "query_floor_seconds": floor, "adapt_seconds": adapting}
    times["floor_seconds"] = floor_seconds(network, support.images, options.passes, cost.repeats)
    times["own_floor_seconds"] = own_floor_seconds(network, support.images, options, cost.repeats)
    times["reference_seconds_per_query"] = reference_seconds(network, query, support, options, cost.repeats)
    return {
        **_ratios({key: median(of) for key, of in times.items()}, cost.queries),
        **_told(times),
        "peak_rss_mb": peak,
    }


def network_of(name: str, built: Mapping[str, BuiltNetwork]) -> FewShotSegmenter:
    """Load a network, or build one of random weights, in evaluation and frozen.

    Raises:
        OptionError: there is no such network.
        WeightsError: it has no weights at hand and is not among those to be built.
    """
    if name not in built:
        return load_network(name)
    with seeded(0, "cpu"):
        return build_network(built[name].network, built[name].build).eval().requires_grad_(False)


def floor_seconds(network: FewShotSegmenter, images: Tensor, passes: int, repeats: int) -> list[float]:
    """The floor of adapting: T forward and backward passes of images [K,3,S,S] through the encoder, in float32."""
    shared = share_weights(network).eval().requires_grad_(False)
    return [passes * seconds for seconds in seconds_of(trainable_pass(shared, images), repeats)]


def own_floor_seconds(network: FewShotSegmenter, images: Tensor, options: TapOptions, repeats: int) -> list[float]:
    """The same in the precision of the passes and without what lies below the first adapted layer."""
    shared = share_weights(network).eval().requires_grad_(False)
    work = trainable_pass(shared, images)
    with frozen_parts_kept(shared.encoder), autocast(options.precision, "cpu", on_cpu=True):
        return [options.passes * seconds for seconds in seconds_of(work, repeats)]


def trainable_pass(network: FewShotSegmenter, images: Tensor) -> Callable[[], None]:
    """A pass of images [K,3,S,S] forward and backward through an encoder that an adapter is attached to, no head."""
    attached = Lora().suited(network).attach(network.encoder)

    def run() -> None:
        loss = torch.stack([level.float().mean() for level in network.encode(images)]).sum()
        torch.autograd.grad(loss, list(attached.parameters()))

    return run


def reference_seconds(
    network: FewShotSegmenter, query: Tensor, support: SupportSet, options: TapOptions, repeats: int
) -> list[float]:
    """The reference of one query, reckoned from attaching, a step and a query forward: the parts of all its passes."""

    def start() -> ReferenceRun:
        return ReferenceRun(network, support.images, support.masks, Lora().suited(network), options)

    run, shots = start(), support.shots
    parts = (seconds_of(work, repeats) for work in (start, lambda: run.step(0), lambda: run.segment(query)))
    return [begin + options.passes * (shots * step + last) for begin, step, last in zip(*parts, strict=True)]


def _ratios(seconds: Mapping[str, float], queries: int) -> dict[str, float]:
    adapt, query, reference = (
        seconds[key] for key in ("adapt_seconds", "query_seconds", "reference_seconds_per_query")
    )
    return {
        "speedup_over_reference": queries * reference / (adapt + queries * query),
        "query_speedup_over_reference": reference / query,
        "adapt_over_floor": adapt / seconds["floor_seconds"],
        "adapt_over_own_floor": adapt / seconds["own_floor_seconds"],
        "query_over_floor": query / seconds["query_floor_seconds"],
    }


def _told(times: Mapping[str, Sequence[float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for key, seconds in times.items():
        found |= {key: median(seconds), f"{key}_spread": spread(seconds)}
    return found
