"""Accuracy on episodes of the source domain, where options are chosen: no target image is ever looked at for that."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Generator, Tensor

from medtap.annotators import redrawn, refuse_unlike_hands
from medtap.benchmarks.bench import learn, mean_dice
from medtap.benchmarks.journal import Entry
from medtap.benchmarks.method import Learnt, Method
from medtap.benchmarks.methods import Defaults, build_method
from medtap.benchmarks.rates import Rates, best_rates, rate_methods
from medtap.benchmarks.summary import summarise_methods
from medtap.defaults import NETWORK
from medtap.errors import OptionError
from medtap.memory import keep_large_buffers
from medtap.metrics import score_case
from medtap.networks.zoo import load_network
from medtap.options import fill
from medtap.outputs.tables import DIGITS, plain
from medtap.pretraining.families import build_families, draw_task, lacking_in
from medtap.pretraining.natural import NaturalEpisodes
from medtap.support import SupportSet

_SEED = 555_001  # episodes of this benchmark are none that pretraining draws

Episode: TypeAlias = tuple[str, Tensor, Tensor, Tensor]
"""A family's name, images [K+Q,3,S,S] with masks [K+Q,S,S], supports first, and images [N,3,S,S] without the class."""


@dataclass(frozen=True)
class SourceOptions:
    """What to measure.

    Attributes:
        methods: name to options, see ``build_method``.
        network: a name of the zoo, or a folder.
        size: side of the images in pixels.
        shots: K.
        queries: queries an episode.
        lacking: how many of them, the last ones, do not show the class, in families that can draw such.
        lacking_shots: how many more such pictures come with the K supports, for methods that learn from them.
        disagreement: how far all masks are redrawn, each by a hand of its own, see `redrawn`; 0 leaves them alone.
        episodes: how many.
        families: of tasks that episodes are drawn from in turn.
        data: folder of photographs, of which only those held out from pretraining are used; empty where no family
            needs them.
        rates: adapters and the learning rates that each is tried with, beside ``methods``.
    """

    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    network: str = NETWORK
    size: int = 192
    shots: int = 5
    queries: int = 5
    lacking: int = 0
    lacking_shots: int = 0
    disagreement: float = 0.0
    episodes: int = 40
    families: Sequence[str] = ("generated",)
    data: str = ""
    rates: Rates = field(default_factory=Rates)

    def __post_init__(self) -> None:
        if not self.methods:
            raise OptionError("a benchmark without methods", expected="methods: {name: {tap: {...}, adapter: {...}}}")
        if not 0 <= self.lacking <= self.queries:
            expected = f"0 to {self.queries} queries that lack the class"
            raise OptionError("there are not so many queries", expected=expected, found=str(self.lacking))
        if self.lacking_shots < 0:
            raise OptionError("lacking_shots cannot be", expected="0 or more", found=str(self.lacking_shots))
        refuse_unlike_hands(self.disagreement)


def run_source(
    options: Mapping[str, Any], seed: int, config: Path, say: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Run every method on the same episodes; ``methods`` by name, each with its scores and cost.

    Scores are pooled by family, as those of a class, and averaged over families. ``best_rates`` names of each adapter
    that several learning rates were asked of the one that gains most.

    Args:
        options: of `SourceOptions`.
        seed: of episodes, adapters and bootstrap.
        config: the file that the options come from.
        say: is told of each method that is done.

    Raises:
        OptionError: an option is unknown or refused, or there is no method.
    """
    keep_large_buffers()
    rates = fill(Rates, options.get("rates", {}), config)
    source = fill(SourceOptions, {**options, "data": str(options.get("data", "")), "rates": rates}, config)
    defaults = Defaults(cache(load_network), source.network, source.size, seed, "cpu", config)
    episodes = list(draw_episodes(source, seed))
    asked = {**source.methods, **rate_methods(source.rates)}
    methods = {name: build_method(name, chosen, defaults) for name, chosen in asked.items()}
    entries = {name: run_method(name, method, episodes, source.shots, say) for name, method in methods.items()}
    digest = hashlib.sha256()
    for _, images, masks, lacking in episodes:
        digest.update(images.numpy().tobytes() + masks.numpy().tobytes() + lacking.numpy().tobytes())
    told = ("size", "shots", "queries", "lacking", "lacking_shots", "disagreement", "episodes")
    protocol = {name: getattr(source, name) for name in told}
    summary = summarise_methods(entries, seed)
    chosen = best_rates(summary, source.rates)
    for method, rate in chosen.items():
        say(f"best learning rate of {method}: {rate:g}")
    results = {"protocol": protocol, "episodes_sha256": digest.hexdigest(), "methods": summary, "best_rates": chosen}
    return plain(results, DIGITS)


def draw_episodes(source: SourceOptions, seed: int) -> Iterator[Episode]:
    """The episodes, families in turn."""
    natural = NaturalEpisodes.read(Path(source.data), source.size, held_out=True) if source.data else None
    families = build_families({*source.families}, natural)
    for index in range(source.episodes):
        generator = Generator().manual_seed(_SEED + 1_000_003 * seed + index)
        name = source.families[index % len(source.families)]
        lacking, taught = (lacking_in(name, wanted) for wanted in (source.lacking, source.lacking_shots))
        n = source.shots + source.queries
        images, masks = draw_task(families[name], n + taught, source.size, generator, lacking + taught)
        yield name, images[:n], redrawn(masks[:n], source.disagreement, generator), images[n:]


def run_method(
    name: str,
    method: Method,
    episodes: Sequence[Episode],
    shots: int,
    say: Callable[[str], None],
) -> list[Entry]:
    """Learn from each episode's supports, segment its queries, and score them all; an entry an episode."""
    entries = []
    for number, (family, images, masks, lacking) in enumerate(episodes):
        support = SupportSet.from_tensors(images[:shots], masks[:shots], (family,), lacking=lacking)
        learnt, cost = learn(method, support)
        queries = [
            run_query(learnt, image, mask, family, f"{number}-{index}")
            for index, (image, mask) in enumerate(zip(images[shots:], masks[shots:], strict=True))
        ]
        entries.append({**cost, "queries": queries})
    say(f"{name}: {len(entries)} episodes{mean_dice(query for entry in entries for query in entry['queries'])}")
    return entries


def run_query(learnt: Learnt, image: Tensor, mask: Tensor, family: str, name: str) -> Entry:
    """Segment one picture [3,S,S] and score it against its mask [S,S]."""
    start = time.perf_counter()
    with torch.no_grad():
        found = learnt.labels(learnt.segment(image[None]), mask.shape)
    seconds = time.perf_counter() - start
    scores = vars(score_case(found, mask.numpy().astype("uint8"), (family,)))
    return {"image": name, "seconds": seconds, "scores": scores, "native": scores}
