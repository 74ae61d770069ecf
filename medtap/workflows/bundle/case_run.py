"""The run of an engine over cases: its folder, its model, its cases, and what became of them."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ignite.engine import Events
from monai.engines.workflow import Workflow

from medtap.adapted import AdaptedSegmenter
from medtap.errors import InputError
from medtap.outputs import RunFolder
from medtap.record import AdaptationRecord
from medtap.workflows.bundle.folder_cases import FolderCases
from medtap.workflows.bundle.model import Adaptation, ShippedModel
from medtap.workflows.evaluate import without_support
from medtap.workflows.predict import Outcome, record_of, seen_warnings
from medtap.workflows.segmenting import SegmentOptions
from medtap.workflows.stream import CaseStream, Item, case_items
from medtap.workflows.transforms import mask_name

_MOST_TOLD = 10
_logger = logging.getLogger("medtap.bundle")


class CaseRun:
    """MONAI handler that does around an engine what ``medtap predict`` and ``evaluate`` do around their loops.

    At the start it refuses what must be refused, opens the output folder, lets the model fill the network and chooses
    the cases; at the end it lists what failed and closes the folder. It stands first among the handlers, and nothing is
    written before the engine runs.

    Args:
        output_dir: the folder to write.
        dataset: the stream that the engine reads.
        cases: where the stream's cases are.
        network_def: the engine's network.
        model: what fills the network.
        mask_threshold: what the masks of an evaluation are read by, for ``run.json``.
        segmenting: how cases are segmented, to be checked and told; the engine's parts do it.
        leave_out_support: whether cases of the support set are left out, as for scores they must be.
        overwrite: whether an earlier run in ``output_dir`` may be replaced.

    Attributes:
        folder: the open output folder, while the engine runs.
        outcome: what became of the cases.
        before: names of the cases that went through before the run was interrupted.
        record: of what the network was adapted to.
    """

    folder: RunFolder
    record: AdaptationRecord

    def __init__(
        self,
        output_dir: str | Path,
        dataset: CaseStream,
        cases: FolderCases,
        network_def: AdaptedSegmenter,
        model: Adaptation | ShippedModel,
        mask_threshold: float | None = None,
        segmenting: SegmentOptions | None = None,
        leave_out_support: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.output_dir, self.overwrite = Path(str(output_dir)), overwrite
        self.dataset, self.cases, self.mask_threshold = dataset, cases, mask_threshold
        self.segmenting = segmenting or SegmentOptions()
        self.network_def, self.model, self.leave_out_support = network_def, model, leave_out_support
        self.outcome, self.before, self._todo = Outcome(), set[str](), 0
        self._held = ExitStack()

    def attach(self, engine: Workflow) -> None:
        """Register with an engine, before handlers that need the folder or the model."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.EPOCH_STARTED, self.note_how)
        engine.add_event_handler(Events.COMPLETED, self.finish)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.abort)

    def start(self, engine: Workflow) -> None:
        """Refuse, open the folder, fill the network, choose the cases.

        Raises:
            MedtapError: an input, option or output is refused.
        """
        _logger.info("%d cases in %s", len(self.cases), self.cases.images)
        self.folder = self._held.enter_context(self._run_folder())
        self.model.fill(self.network_def, self.folder, engine.state.device)
        self.network_def.to(engine.state.device)
        self.record = record_of(self.network_def)
        self._choose()
        engine.state.epoch_length = None  # ignite would keep to the last run's, and cases that fail do not count
        self._started = time.perf_counter()

    def note_how(self) -> None:
        """Note how masks come out, once a loader among the handlers may have filled the network."""
        self.outcome.warnings += self.segmenting.notes(self.network_def)

    def count(self, case: str) -> None:
        """Note a case that went through, and tell about every tenth part of them."""
        self.outcome.done.append(case)
        done = len(self.outcome.done) - len(self.before)
        if done % max(1, self._todo // 10) == 0:
            _logger.info("%d of %d done", done, self._todo)

    def close_outcome(self) -> None:
        """List what failed or was skipped, once the last case is done."""
        self.outcome.seconds = time.perf_counter() - self._started
        self.outcome.write(self.folder)

    def finish(self) -> None:
        """Close the folder and tell."""
        self._held.close()
        _tell(self.outcome, self.record.warnings, self.output_dir)

    @property
    def asked(self) -> dict[str, Any]:
        """The options of the command of medtap's own that does the same."""
        asked: dict[str, Any] = {"adapter": self.model.adapter_below(self.output_dir), "images": self.cases.images}
        asked |= {"masks": self.cases.masks, "layout": self.cases.layout, "mask_threshold": self.mask_threshold}
        return asked | self.segmenting.given

    def abort(self, error: BaseException) -> None:
        """Leave the folder half-done, so that the same command goes on with it, and let the error through.

        Raises:
            InputError: every case failed, and MONAI's metrics stumbled over having nothing to count.
        """
        if self._todo and len(self.outcome.failures) == self._todo:
            self.close_outcome()
            error = InputError("no case could be scored", file=self.output_dir, remedy="see failed.csv")
        self._held.__exit__(type(error), error, error.__traceback__)
        raise error

    def _run_folder(self) -> RunFolder:
        identity = self.model.identity(self.network_def)
        data = {"data": self.cases.folders, "layout": self.cases.layout, "mask_threshold": self.mask_threshold}
        data |= asdict(self.segmenting)
        self.segmenting.refuse_unfit(self.model.shots, self.network_def.network)
        inputs = [*self.cases.folders, *self.model.folders]
        return RunFolder(self.output_dir, inputs=inputs, options=identity | data, overwrite=self.overwrite)

    def _choose(self) -> None:
        """Leave out what must not be segmented or has been already, and set what is to be told at the end."""
        cases = self.cases.cases
        if self.leave_out_support:
            cases, warnings = without_support(cases, self.record)
        else:
            warnings = seen_warnings(cases, self.record)
        items = case_items(cases, self.cases.images)
        self.before = {item["name"] for item in items if self._is_done(item)}
        self.dataset.data = [item for item in items if item["name"] not in self.before]
        self._todo = len(self.dataset.data)
        self.dataset.failures.clear()
        self.outcome = Outcome(
            done=[item["name"] for item in items if item["name"] in self.before],
            failures=self.dataset.failures,
            skipped=list(cases.skipped),
            warnings=[*cases.warnings, *warnings],
        )

    def _is_done(self, item: Item) -> bool:
        return self.folder.has(mask_name(item["name"], item["image"]))


def _tell(outcome: Outcome, warnings: tuple[str, ...], out: Path) -> None:
    for failure in outcome.failures[:_MOST_TOLD]:
        _logger.error("failed: %s", failure.reason)
    for warning in (*warnings, *outcome.warnings):
        _logger.warning("warning: %s", warning)
    counts = len(outcome.done), len(outcome.failures), len(outcome.skipped)
    _logger.info("%d cases done, %d failed, %d files skipped; results in %s", *counts, out)
