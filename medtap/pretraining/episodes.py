"""A stream of batches of tasks, each determined by a seed and a step, so that a resumed run sees what it would have."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.utils.data import Dataset

from medtap.pretraining.natural import NaturalEpisodes
from medtap.pretraining.synthetic import Task, generated_task


@dataclass(frozen=True)
class Stage:
    """A stretch of training at one picture size.

    Attributes:
        steps: optimizer steps.
        size: side of the pictures in pixels.
        tasks: tasks a step.
        images: pictures a task, each a query against the others.
    """

    steps: int
    size: int
    tasks: int
    images: int = 6


class TaskStream(Dataset[tuple[Tensor, Tensor]]):
    """Item ``step`` is that step's batch: images [T,n,3,S,S] in [0,1] and masks [T,n,S,S].

    Args:
        stages: one after the other.
        seed: of the whole run.
        natural: photographs to draw tasks from, or None.
        natural_share: the share of tasks drawn from them.
    """

    def __init__(
        self, stages: tuple[Stage, ...], seed: int, natural: NaturalEpisodes | None, natural_share: float
    ) -> None:
        self.stages, self.seed = stages, seed
        self.natural, self.natural_share = natural, natural_share if natural else 0.0

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

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        stage = self.stage(step)
        generator = Generator().manual_seed(self.seed * 1_000_003 + step)
        tasks = [self._task(stage, generator) for _ in range(stage.tasks)]
        images, masks = (torch.stack(part) for part in zip(*tasks, strict=True))
        return images, masks

    def _task(self, stage: Stage, generator: Generator) -> Task:
        if self.natural and float(torch.rand(1, generator=generator)) < self.natural_share:
            return self.natural.task(stage.images, stage.size, generator)
        return generated_task(stage.images, stage.size, generator)
