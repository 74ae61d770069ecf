"""The run of a trainer over epochs: its folder, its seeds, its validation, and what it leaves behind."""

from __future__ import annotations

import logging
import math
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from ignite.engine import Events
from monai.engines import SupervisedEvaluator
from monai.engines.trainer import SupervisedTrainer
from monai.engines.utils import IterationEvents
from torch.optim.lr_scheduler import LRScheduler

from medtap.adapted import FILES, AdaptedSegmenter
from medtap.errors import AdaptationError
from medtap.finetuning.options import FinetuneOptions
from medtap.finetuning.trained import TrainedSegmenter
from medtap.outputs import RunFolder, atomic_write, write_csv
from medtap.processes import average_gradients, mean_of_all, place, tell_all
from medtap.record import AdaptationRecord
from medtap.report import contact_sheet
from medtap.support import SupportSet
from medtap.workflows.adapt import CONTACT_SHEET
from medtap.workflows.finetune.data import begin_epoch
from medtap.workflows.finetune.progress import Progress, copied

CHECKPOINT, TABLE = "checkpoint.pt", "training.csv"
_logger = logging.getLogger("medtap.finetune")


@dataclass(eq=False)
class TrainingRun:
    """MONAI handler that makes a trainer's run seeded, resumable and recorded. Of several processes the first writes.

    Attributes:
        folder: the output folder, not open yet.
        model: what is trained.
        schedule: of the learning rate, stepped with the optimiser.
        validation: scores the images held out after every epoch.
        support: what is recorded as learnt from.
        record: all that is known before the training.
        options: how it is trained.
        progress: how far it is.
    """

    folder: RunFolder
    model: TrainedSegmenter
    schedule: LRScheduler
    validation: SupervisedEvaluator
    support: SupportSet
    record: AdaptationRecord
    options: FinetuneOptions
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        self._held, self._losses, self._writes = ExitStack(), list[float](), place()[0] == 0

    def attach(self, engine: SupervisedTrainer) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.EPOCH_STARTED, self.begin_epoch)
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self.after_backward)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.after_step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.end_epoch)
        engine.add_event_handler(Events.COMPLETED, self.finish)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.abort)

    def start(self, engine: SupervisedTrainer) -> None:
        """Open the folder and go on where a killed run of the same options stopped.

        Raises:
            OutputError: the folder is refused.
            WeightsError: its checkpoint is damaged.
        """
        self._started = time.perf_counter()
        if self._writes:
            self._held.enter_context(self.folder)
        if tell_all(self._writes and self.folder.has(CHECKPOINT)):
            self.progress = Progress.load(self.folder.path / CHECKPOINT)
            self.model.attached.load_state_dict(self.progress.adapter)
            engine.optimizer.load_state_dict(self.progress.optimiser)
            self.schedule.load_state_dict(self.progress.schedule)
            engine.state.epoch = self.progress.epoch
            engine.state.iteration = self.progress.epoch * int(engine.state.epoch_length or 0)
            _logger.info("going on after epoch %d", self.progress.epoch)

    def begin_epoch(self, engine: SupervisedTrainer) -> None:
        """Set every chance of the epoch by the seed."""
        rank, count = place()
        torch.manual_seed(self.options.seed + engine.state.epoch * count + rank)
        begin_epoch(engine.data_loader, engine.state.epoch, self.options.seed)  # type: ignore[arg-type]
        self._losses.clear()

    def after_backward(self, engine: SupervisedTrainer) -> None:  # noqa: ARG002
        """Average the gradients of all processes."""
        average_gradients(self.model.attached.parameters())

    def after_step(self, engine: SupervisedTrainer) -> None:
        """Note the loss and move the learning rate.

        Raises:
            AdaptationError: the loss is not a number.
        """
        loss = float(engine.state.output["loss"])
        if not math.isfinite(loss):
            raise AdaptationError(f"the loss is not a number in epoch {engine.state.epoch}", remedy="lower the rate")
        self._losses.append(loss)
        self.schedule.step()

    def end_epoch(self, engine: SupervisedTrainer) -> None:
        """Score the images held out, and write the checkpoint and, where it is the best, the adapter."""
        self.model.eval()
        self.validation.run()
        now, values = self.progress, copied(self.model.attached.state_dict())
        now.epoch, now.adapter = engine.state.epoch, values
        now.optimiser, now.schedule = engine.optimizer.state_dict(), self.schedule.state_dict()
        now.losses.append(mean_of_all(sum(self._losses) / len(self._losses), engine.state.device))
        now.scores.append(float(self.validation.state.metrics["val_mean_dice"]))
        now.best = values if now.best_epoch == now.epoch else now.best
        _logger.info("epoch %d: loss %.4f, held-out Dice %.4f", now.epoch, now.losses[-1], now.scores[-1])
        if self._writes:
            now.save(self.folder.file(CHECKPOINT))
            self._write_table()
            if now.best_epoch == now.epoch:
                self._write_best()

    def finish(self) -> None:
        """Load and write the best adapter, and close the folder."""
        self.model.attached.load_state_dict(self.progress.best)
        self.model.eval()
        if self._writes:
            self._write_best()
            sheet = contact_sheet(self.support.images, self.support.masks, self.support.classes)
            with atomic_write(self.folder.file(CONTACT_SHEET)) as partial:
                sheet.save(partial, format="PNG")
            best = self.progress.best_epoch
            self.folder.note(best_epoch=best, held_out_dice=self.progress.scores[best - 1], epochs=self.progress.epoch)
        self._held.close()
        tell_all(True)  # others wait until all is written

    def abort(self, error: BaseException) -> None:
        """Leave the folder half-done, so that the same command goes on with it, and let the error through."""
        self._held.__exit__(type(error), error, error.__traceback__)
        raise error

    def _write_table(self) -> None:
        pairs = zip(self.progress.losses, self.progress.scores, strict=True)
        rows: list[dict[str, Any]] = [
            {"epoch": epoch, "loss": loss, "held_out_dice": score} for epoch, (loss, score) in enumerate(pairs, start=1)
        ]
        write_csv(self.folder.file(TABLE), rows, ("epoch", "loss", "held_out_dice"))

    @torch.no_grad()
    def _write_best(self) -> None:
        for name in FILES:
            self.folder.file(name)
        memory = tuple(kept.cpu() for kept in self.model.memory())
        record = self.progress_record()
        adapted = AdaptedSegmenter(self.model.network, memory, record.classes, self.progress.best, record)
        adapted.save(self.folder.path)

    def progress_record(self) -> AdaptationRecord:
        """What the manifest tells now."""
        now, best = self.progress, self.progress.best_epoch
        told = {"best_epoch": best, "held_out_dice": round(now.scores[best - 1], 6)}
        cost = {"adapt_seconds": round(time.perf_counter() - self._started, 3)}
        losses = tuple(round(loss, 6) for loss in now.losses)
        return replace(self.record, tap={**self.record.tap, **told}, losses=losses, cost=cost)
