"""A pretraining recipe: one YAML file, one seed, one folder of weights with a card."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from medtap._version import __version__
from medtap.errors import OptionError
from medtap.networks.segmenter import FewShotSegmenter
from medtap.networks.zoo import build_network, save_network
from medtap.options import fill, read_config
from medtap.pretraining.episodes import Stage, TaskStream
from medtap.pretraining.families import PHOTOGRAPHIC, build_families
from medtap.pretraining.losses import episode_iou
from medtap.pretraining.meta_train import MetaTrainer, MetaTrainOptions
from medtap.pretraining.natural import NaturalEpisodes

_VALIDATION_SEED = 987_654


@dataclass(frozen=True)
class NaturalOptions:
    """Natural photographs in a recipe.

    Attributes:
        folder: holds ``images`` and ``masks``; relative to where the command runs; empty where no mix needs it.
        side: short side in pixels at which they are kept.
        hold_out_every: every so many photographs, one is kept for validation; 0 keeps none.
    """

    folder: str = ""
    side: int = 192
    hold_out_every: int = 10


@dataclass(frozen=True)
class Recipe:
    """What a configuration of ``medtap pretrain`` holds.

    Attributes:
        network: a name of the zoo.
        stages: stretches of training, one after the other.
        natural: photographs to draw tasks from, where a stage's mix has families of photographs.
        training: how to train.
        seed: of everything.
        validation: batches of generated tasks, and as many of natural ones, that validate a checkpoint.
    """

    network: str
    stages: tuple[Stage, ...]
    natural: NaturalOptions = field(default_factory=NaturalOptions)
    training: MetaTrainOptions = field(default_factory=MetaTrainOptions)
    seed: int = 0
    validation: int = 6


def read_recipe(path: Path, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Read a recipe from YAML or JSON.

    Args:
        path: the file.
        overrides: top-level keys that replace the file's.

    Raises:
        OptionError: the file is missing, or a key is unknown or missing.
    """
    values = {**read_config(path), **(overrides or {})}
    missing = {"network", "stages"} - values.keys()
    if missing:
        raise OptionError(f"the recipe lacks {', '.join(sorted(missing))}", file=path)
    values["stages"] = tuple(fill(Stage, stage, path) for stage in values["stages"])
    values["natural"] = fill(NaturalOptions, values.get("natural", {}), path)
    values["training"] = fill(MetaTrainOptions, {"seed": values.get("seed", 0), **values.get("training", {})}, path)
    return fill(Recipe, values, path)


def pretrain(recipe: Recipe, folder: Path, config: str) -> Path:
    """Meta-train a network; called again on the same folder, go on from the last checkpoint.

    Args:
        recipe: what to train, on what, how.
        folder: for the checkpoint, the log, the weights and the card.
        config: the recipe's file name, for the card.

    Returns:
        The folder, which ``load_network`` reads.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    network = build_network(recipe.network)
    train, held_out = _natural(recipe.natural)
    names = {name for stage in recipe.stages for name in stage.mix}
    stream = TaskStream(recipe.stages, recipe.seed, build_families(names, train))
    trainer = MetaTrainer(network, stream, recipe.training, folder)
    provenance = _provenance(recipe, config)
    validation = _validation_streams(recipe, held_out)
    average = trainer.run(lambda model: _scores(model, validation))
    average.name = recipe.network
    scores = _scores(average, validation)
    save_network(average, folder, {**provenance, "seconds": round(trainer.seconds), **scores})
    return folder


def _natural(options: NaturalOptions) -> tuple[NaturalEpisodes | None, NaturalEpisodes | None]:
    if not options.folder:
        return None, None
    folder, every = Path(options.folder), options.hold_out_every
    train = NaturalEpisodes.read(folder, options.side, every)
    return train, NaturalEpisodes.read(folder, options.side, every, held_out=True) if every else None


def _validation_streams(recipe: Recipe, held_out: NaturalEpisodes | None) -> dict[str, TaskStream]:
    """A stream of each family in the last stage's mix, at its size; photographs are the held-out ones."""
    last = recipe.stages[-1]
    return {
        f"{name}_iou": TaskStream(
            (Stage(recipe.validation, last.size, pictures=6, mix={name: 1.0}),),
            _VALIDATION_SEED,
            build_families({name}, held_out),
        )
        for name in last.mix
        if name not in PHOTOGRAPHIC or (held_out is not None and held_out.members)
    }


def _scores(network: FewShotSegmenter, streams: Mapping[str, TaskStream]) -> dict[str, float]:
    return {name: round(episode_iou(network, stream), 4) for name, stream in streams.items()}


def _provenance(recipe: Recipe, config: str) -> dict[str, object]:
    return {
        "medtap": __version__,
        "commit": _commit(),
        "config": config,
        "seed": recipe.seed,
        "steps": sum(stage.steps for stage in recipe.stages),
        "torch": torch.__version__,
    }


def _commit() -> str:
    """The commit of the working tree that medtap runs from, or "unknown" outside of one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
