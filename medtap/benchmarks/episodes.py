"""Accuracy by the cross-domain few-shot protocol: episodes of an annotated data set, every method on the same ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from medtap.benchmarks.bench import Bench, Draw
from medtap.benchmarks.chart import cost_chart
from medtap.benchmarks.episode_options import EpisodeOptions
from medtap.benchmarks.gallery import Gallery
from medtap.benchmarks.journal import Journal
from medtap.benchmarks.methods import Defaults, build_method
from medtap.benchmarks.published import markdown_page, published_sets
from medtap.benchmarks.summary import summarise_methods
from medtap.episode_sampler import Episode, EpisodeSampler, episodes_sha256
from medtap.inference import choose_device
from medtap.memory import keep_large_buffers
from medtap.networks.zoo import load_network
from medtap.options import fill
from medtap.outputs import RunFolder, atomic_write, write_json
from medtap.outputs.tables import DIGITS, plain

MANIFEST, JOURNAL, TABLE, CHART = "episodes.json", "scores.jsonl", "table.md", "chart.svg"


def run_episodes(
    options: Mapping[str, Any],
    seed: int,
    config: Path,
    *,
    run: RunFolder,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Draw episodes and run every method on them; ``methods`` by name, each with its scores and cost.

    Writes ``episodes.json``, ``table.md`` and ``chart.svg``, and keeps what was measured in ``scores.jsonl``: a
    run into the same folder takes from there what the same method, weights and episodes gave.

    Args:
        options: of `EpisodeOptions`.
        seed: of episodes, adapters and bootstrap.
        config: the file that the options come from.
        run: the open folder.
        say: is told how far the run is.

    Raises:
        MedtapError: options, data or a network are refused.
    """
    keep_large_buffers()
    chosen = fill(EpisodeOptions, {**options, "data": str(options.get("data", ""))}, config)
    device = str(choose_device(chosen.device))
    defaults = Defaults(cache(load_network), chosen.network, chosen.size, seed, device, config)
    methods = {name: build_method(name, entry, defaults) for name, entry in chosen.methods.items()}
    gallery = Gallery(chosen.reading)
    sampler = EpisodeSampler(
        gallery.pictures,
        chosen.shots,
        chosen.queries_per_support,
        seed,
        chosen.support,
        chosen.queries,
        chosen.planes,
        gallery.empty if chosen.lacking_shots else (),
        chosen.lacking_shots,
    )
    episodes = sampler.draw(chosen.episodes)
    write_manifest(run, episodes, sampler)
    bench = Bench(gallery, draws_of(episodes), Journal(run.path / JOURNAL), say)
    entries = {name: bench.measure(name, method) for name, method in methods.items()}
    summary = summarise_methods(entries, seed)
    measured = {name: {**summary[name], "options": method.describe()} for name, method in methods.items()}
    results = {
        "protocol": {"config": config.stem, "seed": seed, "device": device, **protocol(chosen, gallery, episodes)},
        "episodes_sha256": episodes_sha256(episodes),
        "methods": measured,
        "published": published_sets()[chosen.published] if chosen.published else {},
    }
    for name, page in ((TABLE, markdown_page(results)), (CHART, cost_chart(measured))):
        with atomic_write(run.file(name)) as partial:
            partial.write_text(page, encoding="utf-8")
    return plain(results, DIGITS)


def draws_of(episodes: Sequence[Episode]) -> list[Draw]:
    """Episodes by their support set, classes one after another."""
    ordered = sorted(episodes, key=lambda episode: (episode.group, episode.draw))
    return [tuple(drawn) for _, drawn in groupby(ordered, key=lambda episode: (episode.group, episode.draw))]


def write_manifest(run: RunFolder, episodes: Sequence[Episode], sampler: EpisodeSampler) -> None:
    """Write every episode, and the hash over them, to ``episodes.json``."""
    told = {"sha256": episodes_sha256(episodes), "seed": sampler.seed, "shots": sampler.shots}
    write_json(run.file(MANIFEST), {**told, "episodes": [episode.as_json() for episode in episodes]})


def protocol(options: EpisodeOptions, gallery: Gallery, episodes: Sequence[Episode]) -> dict[str, Any]:
    """How was measured, and on what, for ``results.json``."""
    drawn = ("shots", "planes", "lacking_shots", "episodes", "queries_per_support")
    kept = (*drawn, "layout", "support", "queries", "size", "note")
    own_grid = options.score_size is None or episodes[0].query.plane is not None
    return {
        **{name: getattr(options, name) for name in kept},
        "classes": sorted({episode.group for episode in episodes}) if options.by_group else gallery.classes,
        "pictures": Counter(picture.group for picture in gallery.pictures),
        "query_images": len({episode.query.file for episode in episodes}),
        "scored_on": "their own grid" if own_grid else f"squares of {options.score_size} px",
        "rule": "intersection and union pooled over all episodes of a class, foreground IoU averaged over classes",
        "threads": torch.get_num_threads(),
    }
