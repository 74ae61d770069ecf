"""A pretraining recipe: one YAML file, one seed, one folder of weights with a card."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medtap._version import __version__
from medtap.errors import OptionError
from medtap.networks.segmenter import FewShotSegmenter
from medtap.networks.zoo import build_network, load_network, save_network
from medtap.options import fill, read_config
from medtap.pretraining.episodes import Stage, TaskStream
from medtap.pretraining.families import FOLD, PHOTOGRAPHIC, build_families
from medtap.pretraining.folds import FoldEpisodes, FoldOptions, read_fold
from medtap.pretraining.losses import episode_iou
from medtap.pretraining.meta_train import CHECKPOINT, MetaTrainer, MetaTrainOptions
from medtap.pretraining.natural import NaturalEpisodes
from medtap.pretraining.start import start_from
from medtap.pretraining.teacher import learn_from
from medtap.processes import join_processes, place

_VALIDATION_SEED = 987_654
_VALIDATION_PICTURES = 6  # a task
_FITTED = 20  # batches that laterals are fitted on


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
        validation: batches of each family of the last stage's mix that validate a checkpoint.
        folds: Pascal or COCO to draw tasks from, where a stage's mix has ``fold``.
        weights: what the training starts from, see `start_from`; random weights when empty.
        teacher: a network whose head it starts with and whose maps it is fitted to give, see `learn_from`; none when
            empty.
    """

    network: str
    stages: tuple[Stage, ...]
    natural: NaturalOptions = field(default_factory=NaturalOptions)
    training: MetaTrainOptions = field(default_factory=MetaTrainOptions)
    seed: int = 0
    validation: int = 6
    folds: FoldOptions = field(default_factory=FoldOptions)
    weights: str = ""
    teacher: str = ""


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
    values["folds"] = fill(FoldOptions, values.get("folds", {}), path)
    values["training"] = fill(MetaTrainOptions, {"seed": values.get("seed", 0), **values.get("training", {})}, path)
    return fill(Recipe, values, path)


def pretrain(recipe: Recipe, folder: Path, config: str) -> Path:
    """Meta-train a network; called again on the same folder, go on from the last checkpoint.

    Under ``torchrun`` each process trains on its share of every step's tasks, and the first one writes.

    Args:
        recipe: what to train, on what, how.
        folder: for the checkpoint, the log, the weights and the card; of several machines, one that all see.
        config: the recipe's file name, for the card.

    Returns:
        The folder, which ``load_network`` reads.

    Raises:
        MedtapError: an option, the photographs or the weights to start from are refused, or the loss is not a number.
    """
    join_processes()
    folder.mkdir(parents=True, exist_ok=True)
    network = _starting_network(recipe)
    (train, held_out), (fold, held_out_fold) = _natural(recipe.natural), _fold(recipe.folds)
    names = {name for stage in recipe.stages for name in stage.mix}
    families = build_families(names, train, fold)
    stream = TaskStream(recipe.stages, recipe.seed, families, place())
    if recipe.teacher and not (folder / CHECKPOINT).exists():
        _teach(network, recipe.teacher, TaskStream(recipe.stages, recipe.seed, families))
    trainer = MetaTrainer(network, stream, recipe.training, folder)
    provenance = _provenance(recipe, config)
    validation = _validation_batches(recipe, held_out, held_out_fold) if place()[0] == 0 else {}

    def keep(average: FewShotSegmenter) -> dict[str, float]:
        scores = {name: round(episode_iou(average, batches), 4) for name, batches in validation.items()}
        told = {"steps": trainer.step, "seconds": round(trainer.seconds)}
        save_network(average, folder, {**provenance, **told, **scores})
        return scores

    trainer.run(keep)
    return folder


def _starting_network(recipe: Recipe) -> FewShotSegmenter:
    """The network with the weights that training starts from.

    Raises:
        OptionError: the network looks at no support image, so that episodes teach it nothing.
    """
    torch.manual_seed(recipe.seed)
    network = build_network(recipe.network)
    if not network.looks_at_support:
        raise OptionError(f"{recipe.network!r} looks at no support image", expected="a network that learns by episodes")
    if recipe.weights:
        start_from(network, recipe.weights)
    return network


def _teach(network: FewShotSegmenter, teacher: str, tasks: TaskStream) -> None:
    """Let a network begin as another's pupil, on the first tasks, which are the same in every process."""
    pictures = (tasks[step][0].flatten(0, 1) for step in range(min(_FITTED, len(tasks))))
    learn_from(network, load_network(teacher), pictures)


def _natural(options: NaturalOptions) -> tuple[NaturalEpisodes | None, NaturalEpisodes | None]:
    if not options.folder:
        return None, None
    folder, every = Path(options.folder), options.hold_out_every
    train = NaturalEpisodes.read(folder, options.side, every)
    return train, NaturalEpisodes.read(folder, options.side, every, held_out=True) if every else None


def _fold(options: FoldOptions) -> tuple[FoldEpisodes | None, FoldEpisodes | None]:
    return read_fold(options) if options.folder else (None, None)


def _validation_batches(
    recipe: Recipe, held_out: NaturalEpisodes | None, fold: FoldEpisodes | None
) -> dict[str, list[tuple[Tensor, Tensor]]]:
    """Batches of each family in the last stage's mix, at its size; photographs are the held-out ones."""
    last = recipe.stages[-1]
    missing = set() if held_out is not None and held_out.members else set(PHOTOGRAPHIC)
    missing |= set() if fold is not None and fold.shown(_VALIDATION_PICTURES) else {FOLD}
    streams = {
        name: TaskStream(
            (Stage(recipe.validation, last.size, pictures=_VALIDATION_PICTURES, mix={name: 1.0}),),
            _VALIDATION_SEED,
            build_families({name}, held_out, fold),
        )
        for name in last.mix
        if name not in missing
    }
    return {f"{name}_iou": [stream[step] for step in range(len(stream))] for name, stream in streams.items()}


def _provenance(recipe: Recipe, config: str) -> dict[str, object]:
    return {
        "medtap": __version__,
        "commit": _commit(),
        "config": config,
        "seed": recipe.seed,
        "torch": torch.__version__,
        **({"weights": recipe.weights} if recipe.weights else {}),
        **({"teacher": recipe.teacher} if recipe.teacher else {}),
        **({"folds": asdict(recipe.folds)} if recipe.folds.folder else {}),
    }


def _commit() -> str:
    """The commit of the working tree that medtap runs from, or "unknown" outside of one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
