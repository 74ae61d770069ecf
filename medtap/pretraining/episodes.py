"""A stream of batches of tasks, each determined by a seed and a step, so that a resumed run sees what it would have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor
from torch.utils.data import Dataset

from medtap.annotators import refuse_unlike_hands
from medtap.chance import pick
from medtap.errors import OptionError
from medtap.pretraining.families import Family, draw_task, lacking_in, pick_family

_RANK_STRIDE = 2**40  # between the seeds of processes, more than any seed and step come to


@dataclass(frozen=True)
class Stage:
    """A stretch of training at one picture size.

    Attributes:
        steps: batches of new tasks, with an optimizer step each, or one for each look at them.
        size: side of the pictures in pixels.
        pictures: pictures a step, shared out to tasks.
        images: pictures a task, of which one choice is drawn a step.
        mix: weights of the families that tasks are drawn from.
        learning_rate: peak of AdamW's rate, where the stage begins a round.
        restart: begin a new round: warm up anew, from the averaged weights of the round before.
        passes: first adapt to some pictures of a task by so many passes, then learn from the others; 0 does not.
        looks: how often a batch is learned from: as it was drawn, then `changed` at random.
        lacking: the share of a task's pictures, its last ones, that are never a shot, and do not show the class in
            families that can draw such.
        disagreement: how far the masks of shots are redrawn as by other hands, see `redrawn`; 0 leaves them alone.
    """

    steps: int
    size: int
    pictures: int = 24
    images: Sequence[int] = (6,)
    mix: Mapping[str, float] = field(default_factory=lambda: {"generated": 1.0})
    learning_rate: float = 1e-3
    restart: bool = False
    passes: int = 0
    looks: int = 1
    lacking: float = 0.0
    disagreement: float = 0.0

    def __post_init__(self) -> None:
        if not self.images or min(self.images) < 2 or max(self.images) > self.pictures:
            raise OptionError(
                "a stage that no task fits into",
                expected=f"images of 2 to {self.pictures} a task, the pictures a step",
                found=str(list(self.images)),
            )
        if self.looks < 1:
            raise OptionError("a stage that never looks at its tasks", expected="looks of at least 1")
        refuse_unlike_hands(self.disagreement)
        if self.lacking < 0 or min(n - self.lacking_of(n) for n in self.images) < 2:
            expected = "a share of at least 0 that leaves 2 pictures of each task"
            raise OptionError("too many pictures without their class", expected=expected, found=str(self.lacking))

    def lacking_of(self, n: int) -> int:
        """How many of a task's n pictures do not show its class."""
        return round(self.lacking * n)


@dataclass(frozen=True)
class Round:
    """Steps under one warm-up and decay of the learning rate: from ``start``, before ``end``."""

    start: int
    end: int
    learning_rate: float


class TaskStream(Dataset[tuple[Tensor, Tensor]]):
    """Item ``step`` is that step's batch: images [T,n,3,S,S] in [0,1] and masks [T,n,S,S].

    Args:
        stages: one after the other.
        seed: of the whole run.
        families: what the stages' mixes name.
        share: rank and number of the processes that draw the tasks of a step together; each draws T tasks of its own.

    Raises:
        OptionError: the tasks of a step cannot be shared out evenly.
    """

    def __init__(
        self,
        stages: tuple[Stage, ...],
        seed: int,
        families: Mapping[str, Family],
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self.stages, self.seed, self.families = stages, seed, families
        self.rank, self.processes = share
        for stage in stages:
            _refuse_uneven(stage, self.processes)

    def __len__(self) -> int:
        return sum(stage.steps for stage in self.stages)

    def stage(self, step: int) -> Stage:
        """The stage that a step belongs to.

        Raises:
            IndexError: the step lies behind the last stage.
        """
        left = step
        for stage in self.stages:
            if left < stage.steps:
                return stage
            left -= stage.steps
        raise IndexError(f"step {step} lies behind the last stage")

    def rounds(self) -> list[Round]:
        """The rounds that the stages make up."""
        found: list[Round] = []
        end = 0
        for stage in self.stages:
            start, end = end, end + stage.steps
            if found and not stage.restart:
                found[-1] = Round(found[-1].start, end, found[-1].learning_rate)
            else:
                found.append(Round(start, end, stage.learning_rate))
        return found

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        stage = self.stage(step)
        generator = Generator().manual_seed(self.seed * 1_000_003 + step)
        n = stage.images[pick(0, len(stage.images) - 1, generator)] if len(stage.images) > 1 else stage.images[0]
        if self.rank > 0:
            generator = Generator().manual_seed(generator.initial_seed() + self.rank * _RANK_STRIDE)
        tasks = [self._task(stage, n, generator) for _ in range(stage.pictures // n // self.processes)]
        images, masks = (torch.stack(part) for part in zip(*tasks, strict=True))
        return images, masks

    def _task(self, stage: Stage, n: int, generator: Generator) -> tuple[Tensor, Tensor]:
        name = pick_family(stage.mix, float(torch.rand(1, generator=generator)))
        lacking = lacking_in(name, stage.lacking_of(n))
        return draw_task(self.families[name], n, stage.size, generator, lacking)


def _refuse_uneven(stage: Stage, processes: int) -> None:
    uneven = [n for n in stage.images if stage.pictures // n % processes]
    if uneven:
        raise OptionError(
            f"a step's tasks cannot be shared out to {processes} processes",
            expected=f"tasks in multiples of {processes}",
            found=f"{stage.pictures // uneven[0]} of {uneven[0]} images",
            remedy="change `pictures`, or start another number of processes",
        )
