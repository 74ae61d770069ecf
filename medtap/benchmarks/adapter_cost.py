"""What adapters cost beside one another: attaching, a pass, what is trained, and passes of equal cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Generator

from medtap.adaptation import take_a_peek
from medtap.adapters import AttachedAdapter
from medtap.benchmarks.method import Method
from medtap.benchmarks.methods import Defaults, build_method
from medtap.benchmarks.tap_method import TapMethod
from medtap.benchmarks.timing import timed
from medtap.defaults import NETWORK
from medtap.errors import OptionError
from medtap.half_precision import compact, rounded
from medtap.memory import keep_large_buffers
from medtap.networks.segmenter import share_weights
from medtap.networks.zoo import load_network
from medtap.options import fill
from medtap.pretraining.synthetic import generated_task
from medtap.support import SupportSet


@dataclass(frozen=True)
class AdapterCostOptions:
    """What to measure.

    Attributes:
        methods: name to options, see `medtap.benchmarks.methods`; ratios are told to the first one.
        network: a name of the zoo, or a folder.
        size: side of the images in pixels.
        shots: K.
        passes: T of the first method; the others are given as many as take the same time.
        repeats: measurements, of which the median is told; after one that is not counted.
    """

    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    network: str = NETWORK
    size: int = 256
    shots: int = 5
    passes: int = 8
    repeats: int = 3

    def __post_init__(self) -> None:
        if not self.methods:
            raise OptionError("a benchmark without methods", expected="methods: {name: {method: ...}}")


def run_adapter_cost(
    options: Mapping[str, Any], seed: int, config: Path, say: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Measure every method; ``settings`` by its name, times in seconds.

    Args:
        options: of `AdapterCostOptions`.
        seed: of pictures and adapters.
        config: the file that the options come from.
        say: is told of each round that is done, and of each method at the end.

    Raises:
        OptionError: an option is unknown, or a method does not adapt.
    """
    keep_large_buffers()
    cost = fill(AdapterCostOptions, options, config)
    defaults = Defaults(cache(load_network), cost.network, cost.size, seed, "cpu", config)
    images, masks = generated_task(cost.shots, cost.size, Generator().manual_seed(seed))
    support = SupportSet.from_tensors(images, masks, ("thing",))
    methods = {name: _adapting(name, build_method(name, of, defaults), config) for name, of in cost.methods.items()}
    seconds = in_turns({name: work_of(method, support) for name, method in methods.items()}, cost.repeats, say)
    settings = {name: {**seconds[name], **trained(method)} for name, method in methods.items()}
    first = next(iter(settings.values()))
    settings = {name: {**row, **relative(row, first, cost.passes)} for name, row in settings.items()}
    for name, row in settings.items():
        say(f"{name}: {', '.join(f'{key} {value:.4g}' for key, value in row.items())}")
    protocol = {"size": cost.size, "shots": cost.shots, "passes": cost.passes, "repeats": cost.repeats}
    return {"protocol": {**protocol, "threads": torch.get_num_threads()}, "settings": settings}


def _adapting(name: str, method: Method, config: Path) -> TapMethod:
    if isinstance(method, TapMethod):
        return replace(method, adapter=method.adapter.suited(method.network))
    raise OptionError("the cost of adapting is measured of what adapts", file=config, found=name)


def work_of(method: TapMethod, support: SupportSet) -> list[Callable[[], object]]:
    """What is timed of a method: attaching, an adaptation without passes, and one of two."""
    idle, busy = (replace(method.options, passes=passes, guard="none") for passes in (0, 2))
    return [
        lambda: attach(method),
        lambda: take_a_peek(method.network, support, method.adapter, idle),
        lambda: take_a_peek(method.network, support, method.adapter, busy),
    ]


def attach(method: TapMethod) -> AttachedAdapter:
    """Attach a method's adapter to a copy of its network that shares its weights."""
    return method.adapter.attach(method.adapter.part(share_weights(method.network)))


def trained(method: TapMethod) -> dict[str, int]:
    """How many numbers a method trains, and their bytes as they are saved."""
    values = list(attach(method).parameters())
    return {
        "parameters": sum(value.numel() for value in values),
        "saved_bytes": sum(compact(rounded(value)).nbytes for value in values),
    }


def in_turns(
    works: Mapping[str, Sequence[Callable[[], object]]], repeats: int, say: Callable[[str], None]
) -> dict[str, dict[str, float]]:
    """Median seconds of ``work_of`` each method; all take turns, so that a machine others use slows all of them alike.

    A first round is not counted.
    """
    rounds = []
    for number in range(repeats + 1):
        rounds.append({name: [timed(work, 1, warm_up=0) for work in of] for name, of in works.items()})
        say(f"round {number} of {repeats}")
    seconds = {
        name: [median(times) for times in zip(*(one[name] for one in rounds[1:]), strict=True)] for name in works
    }
    return {
        name: {"attach_seconds": attaching, "start_seconds": start, "pass_seconds": (whole - start) / 2}
        for name, (attaching, start, whole) in seconds.items()
    }


def relative(row: Mapping[str, float], first: Mapping[str, float], passes: int) -> dict[str, float]:
    """A pass beside the first method's, and how many passes take the time of its ``passes``, at least one."""
    time = first["start_seconds"] + passes * first["pass_seconds"]
    fitting = (time - row["start_seconds"]) / row["pass_seconds"]
    return {"pass_over_first": row["pass_seconds"] / first["pass_seconds"], "equal_passes": max(1, round(fitting))}
