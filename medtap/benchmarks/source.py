"""Accuracy on episodes of the source domain, where options are chosen: no target image is ever looked at for that."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapters import Lora
from medtap.errors import OptionError
from medtap.metrics import CaseScores, score_case, summarise
from medtap.networks.segmenter import FewShotSegmenter
from medtap.networks.zoo import load_network
from medtap.options import fill
from medtap.pretraining.natural import NaturalEpisodes
from medtap.pretraining.synthetic import generated_task
from medtap.support import SupportSet

_SEED = 555_001  # episodes of this benchmark are none that pretraining draws


@dataclass(frozen=True)
class SourceOptions:
    """What to measure.

    Attributes:
        methods: name to ``tap`` and ``adapter`` options.
        network: a name of the zoo, or a folder.
        size: side of the images in pixels.
        shots: K.
        queries: queries an episode.
        episodes: how many, half of them generated and half natural where there are photographs.
        data: folder of photographs, of which only those held out from pretraining are used; empty for none.
    """

    methods: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    network: str = "medtap-atto"
    size: int = 192
    shots: int = 5
    queries: int = 5
    episodes: int = 40
    data: str = ""

    def __post_init__(self) -> None:
        if not self.methods:
            raise OptionError("a benchmark without methods", expected="methods: {name: {tap: {...}, adapter: {...}}}")


def run_source(options: Mapping[str, Any], seed: int, config: Path) -> dict[str, Any]:
    """Run every method on the same episodes; ``methods`` by name, each with its scores and cost.

    Raises:
        OptionError: an option is unknown, or there is no method.
    """
    source = fill(SourceOptions, {**options, "data": str(options.get("data", ""))}, config)
    network = load_network(source.network)
    episodes = list(draw_episodes(source, seed))
    methods = {name: run_method(network, episodes, source, chosen, seed) for name, chosen in source.methods.items()}
    digest = hashlib.sha256()
    for images, masks in episodes:
        digest.update(images.numpy().tobytes() + masks.numpy().tobytes())
    protocol = {"size": source.size, "shots": source.shots, "queries": source.queries, "episodes": len(episodes)}
    return {"protocol": protocol, "episodes_sha256": digest.hexdigest(), "methods": methods}


def draw_episodes(source: SourceOptions, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Episodes as images [K+Q,3,S,S] and masks [K+Q,S,S], supports first."""
    natural = NaturalEpisodes.read(Path(source.data), source.size, held_out=True) if source.data else None
    for index in range(source.episodes):
        generator = Generator().manual_seed(_SEED + 1_000_003 * seed + index)
        if natural is not None and index % 2:
            yield natural.task(source.shots + source.queries, source.size, generator)
        else:
            yield generated_task(source.shots + source.queries, source.size, generator)


def run_method(
    network: FewShotSegmenter,
    episodes: list[tuple[Tensor, Tensor]],
    source: SourceOptions,
    chosen: Mapping[str, Mapping[str, Any]],
    seed: int,
) -> dict[str, Any]:
    """Adapt to each episode's supports, segment its queries, and score them all."""
    adapter = fill(Lora, chosen.get("adapter", {}))
    options = fill(TapOptions, {"seed": seed, **chosen.get("tap", {})})
    scores: list[CaseScores] = []
    start = time.perf_counter()
    for images, masks in episodes:
        support = SupportSet.from_tensors(images[: source.shots], masks[: source.shots], ("object",))
        adapted = take_a_peek(network, support, adapter, options)
        with torch.no_grad():
            found = adapted(images[source.shots :]).argmax(1).numpy()
        truth = masks[source.shots :].numpy().astype("int64")
        scores += [score_case(one, true, ("object",)) for one, true in zip(found, truth, strict=True)]
    seconds = (time.perf_counter() - start) / len(episodes)
    return {**summarise(scores, seed=seed), "cost": {"seconds_per_episode": round(seconds, 3)}}
