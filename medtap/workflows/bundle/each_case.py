"""MONAI handlers that take every case that an engine has segmented: one writes its mask, one scores it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ignite.engine import Events
from monai.engines.workflow import Workflow

from medtap.errors import InputError
from medtap.metrics import CaseScores
from medtap.report import CasePicture
from medtap.workflows.bundle.case_run import CaseRun
from medtap.workflows.evaluate import score_item, write_scores
from medtap.workflows.predict import earlier_repairs
from medtap.workflows.report import case_picture, write_evaluation_report, write_prediction_report
from medtap.workflows.stream import Item
from medtap.workflows.transforms import SaveMaskd, mask_name


class SaveMasks:
    """Writes ``pred`` of every case into the run's folder, as `SaveMaskd` does, and ``report.html`` at the end.

    It is a handler, and no part of the postprocessing, so that a host may use that and write by its own means.

    Args:
        run: opens the folder and knows the cases.
    """

    def __init__(self, run: CaseRun) -> None:
        self.run = run

    def attach(self, engine: Workflow) -> None:
        """Register with an engine, after the run."""
        engine.add_event_handler(Events.EPOCH_STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.write)

    def start(self) -> None:
        """Begin anew, so that an engine may run again."""
        record = self.run.record
        self.save = SaveMaskd(
            "pred", self.run.folder, record.classes, adapter_sha256=record.adapter_sha256, method=record.method
        )

    def __call__(self, engine: Workflow) -> None:
        """Write the masks of a batch; one whose source cannot be answered for is listed as failed.

        Raises:
            OutputError: a file cannot be written.
        """
        for item in segmented_items(engine):
            if self.run.dataset.attempt(self.save, item, InputError) is not None:
                self.run.count(item["name"])

    def write(self) -> None:
        """Note what was repaired, and write the page.

        Raises:
            OutputError: it cannot be written.
        """
        run, items = self.run, self.run.cases.items
        done = [item for item in items if item["name"] in run.before]
        run.outcome.warnings += sorted([*self.save.warnings, *earlier_repairs(done)])
        run.close_outcome()
        written = set(run.outcome.done)
        masks = {i["name"]: mask_name(i["name"], i["image"]) for i in items if i["name"] in written}
        write_prediction_report(run.folder, run.record, items, masks, run.outcome, run.asked)


class ScoreCases:
    """Scores ``pred`` of every case against its ``label``; writes the tables and ``report.html`` at the end.

    Args:
        run: opens the folder and knows the cases.
    """

    def __init__(self, run: CaseRun) -> None:
        self.run = run
        self.scores: dict[str, CaseScores] = {}
        self.pictures: dict[str, CasePicture] = {}
        self.metrics: dict[str, Any] = {}

    def attach(self, engine: Workflow) -> None:
        """Register with an engine, after the run."""
        engine.add_event_handler(Events.EPOCH_STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.write)

    def start(self) -> None:
        """Begin anew, so that an engine may run again."""
        self.scores.clear()
        self.pictures.clear()

    def __call__(self, engine: Workflow) -> None:
        """Score the cases of a batch."""
        for item in segmented_items(engine):
            self.scores[item["name"]] = score_item(item, self.run.record.classes)
            self.pictures[item["name"]] = case_picture(item, self.run.record)
            self.run.count(item["name"])

    def write(self) -> None:
        """Write ``metrics.csv``, ``metrics.json`` and the page.

        Raises:
            InputError: no case could be scored.
            OutputError: a file cannot be written.
        """
        run = self.run
        run.close_outcome()
        failed, seconds = len(run.outcome.failures), run.outcome.seconds
        self.metrics = write_scores(run.folder, self.scores, run.record, failed=failed, seconds=seconds)
        write_evaluation_report(
            run.folder, run.record, self.metrics, self.scores, self.pictures, run.outcome, run.asked
        )


def segmented_items(engine: Workflow) -> Iterator[Item]:
    """What an engine that decollates has read and made of each case of a batch."""
    for read, made in zip(engine.state.batch, engine.state.output, strict=True):
        yield {**read, **made}
