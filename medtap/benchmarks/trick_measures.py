"""What one trick costs, measured in the process that it was started for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median

import torch
from torch import Generator

from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapters import Lora
from medtap.benchmarks.source import SourceOptions, draw_episodes, run_method
from medtap.benchmarks.switches import switched
from medtap.benchmarks.tap_method import TapMethod
from medtap.benchmarks.timing import seconds_of
from medtap.benchmarks.trick_options import Trick, TricksOptions
from medtap.inference import PlaneInferer
from medtap.memory import peak_memory_mb
from medtap.networks.zoo import load_network
from medtap.pretraining.synthetic import generated_task
from medtap.support import SupportSet


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes:
        adapt_seconds: median of an adaptation.
        query_seconds: median of a query.
        peak_rss_mb: the peak of memory of both, in MB of 2^20 bytes.
        dice: of every query of the episodes; empty where masks do not change.
    """

    adapt_seconds: float
    query_seconds: float
    peak_rss_mb: float
    dice: tuple[float, ...] = ()


def measure_trick(trick: Trick, options: TricksOptions, seed: int) -> Measured:
    """Adapt and segment with one change."""
    network, shots = load_network(options.network), trick.shots or options.shots
    images, masks = generated_task(shots + 1, options.size, Generator().manual_seed(seed))
    support = SupportSet.from_tensors(images[:-1], masks[:-1], ("thing",))
    tap, inferer = TapOptions(**{"seed": seed, **trick.tap}), PlaneInferer(options.size)
    with switched(trick.switch), torch.no_grad():
        adapted = take_a_peek(network, support, Lora(), tap)
        inferer(images[-1:], adapted)
        peak = peak_memory_mb()
        query = seconds_of(lambda: inferer(images[-1:], adapted), 10 * options.repeats)
        adapt = seconds_of(lambda: take_a_peek(network, support, Lora(), tap), options.repeats, 0)
        method = TapMethod(network, options.episode_size, Lora(), tap)
        dice = episode_dice(method, options, shots, seed) if trick.scored else ()
    return Measured(median(adapt), median(query), peak, dice)


def episode_dice(method: TapMethod, options: TricksOptions, shots: int, seed: int) -> tuple[float, ...]:
    """The Dice of every query of the generated episodes."""
    source = SourceOptions({"own": {}}, size=options.episode_size, shots=shots, queries=options.queries)
    drawn = draw_episodes(replace(source, episodes=options.episodes), seed)
    entries = run_method("own", method, list(drawn), shots, lambda _: None)
    return tuple(dice for entry in entries for query in entry["queries"] for dice in query["scores"]["dice"])
