"""What adaptation and queries cost, beside the reference algorithm and the floor, on the machine at hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Generator, Tensor

from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapters import Lora
from medtap.benchmarks.reference import reference_query
from medtap.memory import keep_large_buffers, peak_memory_mb
from medtap.networks.segmenter import FewShotSegmenter, share_weights
from medtap.networks.zoo import load_network
from medtap.options import fill
from medtap.pretraining.synthetic import generated_task
from medtap.support import SupportSet


@dataclass(frozen=True)
class CostOptions:
    """What to measure.

    Attributes:
        networks: names of the zoo, or folders.
        sizes: sides of the images in pixels.
        shots: values of K.
        passes: T.
        queries: queries a support set, by which the total of the reference is reckoned.
        repeats: measurements, of which the median is told; after one that is not counted.
    """

    networks: tuple[str, ...] = ("medtap-atto",)
    sizes: tuple[int, ...] = (256,)
    shots: tuple[int, ...] = (1, 5)
    passes: int = 8
    queries: int = 20
    repeats: int = 3


def run_cost(
    options: Mapping[str, Any], seed: int, config: Path, say: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Measure every setting; ``settings`` by ``"<network>-<size>-k<K>"``, times in seconds.

    Args:
        options: of `CostOptions`.
        seed: of pictures and adapters.
        config: the file that the options come from.
        say: is told of each setting before it is measured.

    Raises:
        OptionError: an option is unknown.
    """
    keep_large_buffers()
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    if isinstance(values.get("shots"), int):
        values["shots"] = (values["shots"],)
    cost = fill(CostOptions, values, config)
    settings = {}
    for name in cost.networks:
        network = load_network(name)
        for size in cost.sizes:
            for shots in cost.shots:
                setting = f"{Path(name).name}-{size}-k{shots}"
                say(f"measuring {setting}")
                settings[setting] = measure(network, size, shots, cost, seed)
    protocol = {"passes": cost.passes, "queries": cost.queries, "repeats": cost.repeats}
    return {"protocol": {**protocol, "threads": torch.get_num_threads()}, "settings": settings}


def measure(network: FewShotSegmenter, size: int, shots: int, cost: CostOptions, seed: int) -> dict[str, float]:
    """Measure one setting: adaptation, a query, their floors, the reference, and the ratios between them."""
    images, masks = generated_task(max(shots, 2), size, Generator().manual_seed(seed))
    support = SupportSet.from_tensors(images[:shots], masks[:shots], ("thing",))
    options, query = TapOptions(passes=cost.passes, guard="none", seed=seed), images[-1:]
    adapted = take_a_peek(network, support, Lora(), options)
    with torch.no_grad():
        query_seconds = timed(lambda: adapted(query), 10 * cost.repeats)
        encode_seconds = timed(lambda: network.encode(query), 10 * cost.repeats)
    adapt_seconds = timed(lambda: take_a_peek(network, support, Lora(), options), cost.repeats)
    floor_seconds = cost.passes * timed(trainable_pass(network, support.images), cost.repeats)
    labels = support.masks
    reference = timed(lambda: reference_query(network, query, support.images, labels, Lora(), options), 1, warm_up=0)
    return {
        "speedup_over_reference": cost.queries * reference / (adapt_seconds + cost.queries * query_seconds),
        "adapt_over_floor": adapt_seconds / floor_seconds,
        "query_over_floor": query_seconds / encode_seconds,
        "adapt_seconds": adapt_seconds,
        "query_seconds": query_seconds,
        "reference_seconds_per_query": reference,
        "peak_rss_mb": peak_memory_mb(),
    }


def trainable_pass(network: FewShotSegmenter, images: Tensor) -> Callable[[], None]:
    """The floor of one pass: images [K,3,S,S] forward and backward through the encoder with its adapter, no head."""
    shared = share_weights(network).eval().requires_grad_(False)
    attached = Lora().attach(shared.encoder)

    def run() -> None:
        loss = torch.stack([level.mean() for level in shared.encode(images)]).sum()
        torch.autograd.grad(loss, list(attached.parameters()))

    return run


def timed(work: Callable[[], object], repeats: int, warm_up: int = 1) -> float:
    """Median seconds of some work."""
    for _ in range(warm_up):
        work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return median(seconds)
