"""The bench that methods are run on: every support set, every query, each measured once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np
import torch

from medtap._version import __version__
from medtap.benchmarks.fresh_peak import begin_peak
from medtap.benchmarks.gallery import Gallery, Sample
from medtap.benchmarks.journal import Entry, Journal, key_of
from medtap.benchmarks.method import Learnt, Method
from medtap.episode_sampler import Episode
from medtap.memory import peak_memory_mb
from medtap.metrics import CaseScores, score_case
from medtap.support import SupportSet

Draw: TypeAlias = tuple[Episode, ...]
"""Episodes that share one support set."""


@dataclass(frozen=True, eq=False)
class Bench:
    """Runs methods on episodes.

    Attributes:
        gallery: the pictures.
        draws: the episodes.
        journal: what was measured before, and is from now on.
        say: is told how far the run is.
    """

    gallery: Gallery
    draws: Sequence[Draw]
    journal: Journal
    say: Callable[[str], None]

    def measure(self, name: str, method: Method) -> list[Entry]:
        """Measure a method on every draw, or take what was measured."""
        described, reading = [type(method).__name__, method.describe()], asdict(self.gallery.reading)
        entries = []
        for number, draw in enumerate(self.draws, start=1):
            told = [episode.as_json() for episode in draw]
            key = key_of(medtap=__version__, method=described, episodes=told, reading=reading)
            kept = self.journal.get(key)
            entry = kept or self.journal.add(key, {"method": name, **self.run(method, draw)})
            entries.append(entry)
            self.say(f"{name} {number}/{len(self.draws)}: {_told(entry)}{', of an earlier run' if kept else ''}")
        return entries

    def run(self, method: Method, draw: Draw) -> Entry:
        """Learn from a support set and segment its queries, each of them scored."""
        support = self.gallery.support_set(draw[0].support, method.size, draw[0].lacking)
        learnt, cost = learn(method, support)
        queries = [self.query(learnt, episode) for episode in draw]
        return {"class": draw[0].group, "draw": draw[0].draw, **cost, "queries": queries}

    def query(self, learnt: Learnt, episode: Episode) -> Entry:
        """Segment one query and score it: on its own grid and, where it is an image, on the common square."""
        sample = self.gallery.sample(episode.query)
        start = time.perf_counter()
        with torch.no_grad():
            logits = learnt.segment(sample.image[None])
        own = learnt.labels(logits, sample.labels.shape)
        seconds = time.perf_counter() - start
        classes = self.gallery.classes_of(episode.group)
        native = score_case(own, sample.labels.numpy(), classes, sample.spacing_mm)
        scores = native if sample.square is None else _score_square(learnt, logits, sample, classes)
        told = {"image": episode.query.file, "plane": episode.query.plane, "seconds": seconds}
        return {**told, "scores": vars(scores), "native": vars(native)}


def learn(method: Method, support: SupportSet) -> tuple[Learnt, Entry]:
    """Learn from a support set, and what that cost, as entries of the journal tell it."""
    begin_peak()
    start = time.perf_counter()
    learnt = method.learn(support)
    seconds = time.perf_counter() - start
    trained = {"parameters": learnt.parameters, "saved_bytes": learnt.saved_bytes}
    return learnt, {"adapt_seconds": seconds, "peak_rss_mb": peak_memory_mb(), **trained}


def _score_square(learnt: Learnt, logits: torch.Tensor, sample: Sample, classes: Sequence[str]) -> CaseScores:
    square = np.asarray(sample.square)
    return score_case(learnt.labels(logits, square.shape), square, classes)


def mean_dice(queries: Iterable[Entry]) -> str:
    """The mean Dice of queries in words, in per cent, with a comma before; empty where none has any."""
    dice = np.array([value for query in queries for value in query["scores"]["dice"]], dtype=float)
    scored = dice[~np.isnan(dice)]
    return f", mean Dice {100 * scored.mean():.1f}" if scored.size else ""


def _told(entry: Entry) -> str:
    mean = mean_dice(entry["queries"])
    queries = float(np.mean([query["seconds"] for query in entry["queries"]]))
    return f"{entry['class']}, {entry['adapt_seconds']:.1f} s, {len(entry['queries'])} queries at {queries:.2f} s{mean}"
