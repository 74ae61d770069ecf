"""From an adapted network and a folder of images to masks in the inputs' own formats."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from monai.transforms import Compose

from medtap.adapted import AdaptedSegmenter, load_adapted
from medtap.compiling import compile_forward
from medtap.data import image_transforms
from medtap.data.dicom_file import read_dataset
from medtap.datasets import Case, CaseList, find_cases
from medtap.episodes import sha256_of
from medtap.errors import InputError
from medtap.inference import PlaneInferer, choose_device
from medtap.options import fill
from medtap.outputs import RunFolder, write_csv
from medtap.outputs.dicom_repair import repair_warning, repaired
from medtap.outputs.dicom_seg import SUFFIX as SEG_SUFFIX
from medtap.record import AdaptationRecord
from medtap.workflows.report import write_prediction_report
from medtap.workflows.segmenting import SegmentOptions
from medtap.workflows.stream import CaseStream, Failure, Item, case_items
from medtap.workflows.transforms import SaveMaskd, mask_name, to_labels

FAILED, SKIPPED = "failed.csv", "skipped.csv"
Progress = Callable[[Iterable[Item], int], Iterable[Item]]
"""Wraps an iterable of so many items to show how far it is."""


@dataclass
class Outcome:
    """What a run over cases came to.

    Attributes:
        done: names of the cases that went through, now or before the run was interrupted.
        failures: the cases that did not.
        skipped: files that are no image, each with a reason.
        warnings: what a user should know.
        seconds: from the first case's reading to the last one's writing.
    """

    done: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """0 when every case went through, 3 when some failed."""
        return 3 if self.failures else 0

    def write(self, run: RunFolder) -> None:
        """Write ``failed.csv`` and ``skipped.csv`` where there is something to list, and note the rest."""
        if self.failures:
            rows = [{"case": failure.case, "file": failure.file, "reason": failure.reason} for failure in self.failures]
            write_csv(run.file(FAILED), rows, ("case", "file", "reason"))
        if self.skipped:
            rows = [{"file": file, "reason": reason} for file, reason in self.skipped]
            write_csv(run.file(SKIPPED), rows, ("file", "reason"))
        run.note(warnings=self.warnings, seconds=round(self.seconds, 3), done=len(self.done))


def all_items(items: Iterable[Item], count: int) -> Iterable[Item]:  # noqa: ARG001
    """Progress that shows nothing."""
    return items


def segment_cases(
    adapted: AdaptedSegmenter,
    stream: CaseStream,
    inferer: PlaneInferer,
    preprocessing: Compose,
    device: torch.device,
    clean: str = "none",
) -> Iterator[Item]:
    """Segment the cases of a stream: each item with ``pred``, labels on its image's stored grid, cleaned if wanted."""
    record = record_of(adapted)
    back = to_labels(preprocessing, clean, len(record.classes), record.shapes)

    def segment(item: Item) -> Item:
        images = item["image"].as_tensor().unsqueeze(0).to(device)
        return back({**item, "pred": inferer(images, adapted)[0]})

    for item in stream:
        segmented = stream.attempt(segment, item)
        if segmented is not None:
            yield segmented


def predict(
    adapter: str | Path,
    images: str | Path,
    out: str | Path,
    *,
    layout: str | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    compile_network: bool = False,
    overwrite: bool = False,
    progress: Progress = all_items,
    **how: Any,
) -> Outcome:
    """Segment a folder of images, write a mask for each at the same relative path, and ``report.html``.

    Args:
        adapter: the folder that ``adapt`` wrote.
        images: a folder (read recursively), a file or a CSV.
        out: the folder to write.
        layout: how the folder is laid out, where that is not plain.
        device: ``auto``, ``cpu`` or ``cuda``.
        batch_size: planes at once; when None, 8, or as many as a GPU's free memory holds.
        compile_network: whether torch compiles the network first, see ``compile_forward``.
        overwrite: whether an earlier run in ``out`` may be replaced.
        progress: shows how far the run is.
        how: ``clean``, ``flips``, ``subsets``, ``self_support``, ``query_size`` and ``presence``, as `SegmentOptions`
            takes them.

    Raises:
        MedtapError: an input, option or output is refused before any work.
    """
    on, wanted = choose_device(device), fill(SegmentOptions, how)
    adapted = load_for(adapter, wanted).to(on)
    record = record_of(adapted)
    cases = find_cases(images, layout=layout)
    items = case_items(cases, images)
    warnings = [*cases.warnings, *seen_warnings(cases, record), *wanted.notes(adapted)]
    outcome = Outcome(skipped=list(cases.skipped), warnings=warnings)
    options = {"adapter_sha256": record.adapter_sha256, "images": Path(images), "layout": layout, **asdict(wanted)}
    preprocessing = image_transforms(record.axis)
    inferer = PlaneInferer(wanted.query_size or record.size, batch_size, flips=wanted.flips)
    if compile_network:
        compile_forward(adapted, inferer, on)
    with RunFolder(out, inputs=[Path(images)], options=options, overwrite=overwrite) as run:
        origin = {"adapter_sha256": record.adapter_sha256, "method": record.method}
        save, start = SaveMaskd("pred", run, record.classes, **origin), time.perf_counter()
        written = {item["name"]: mask_name(item["name"], item["image"]) for item in items}
        done = [item for item in items if run.has(written[item["name"]])]
        todo = [item for item in items if not run.has(written[item["name"]])]
        stream = CaseStream(todo, preprocessing, outcome.failures)
        for item in progress(segment_cases(adapted, stream, inferer, preprocessing, on, wanted.clean), len(todo)):
            stream.attempt(save, item, InputError)
            item.clear()  # lets go of a volume before anything else is read
        masks = {name: mask for name, mask in written.items() if run.has(mask)}
        outcome.done = list(masks)
        outcome.warnings += sorted([*save.warnings, *earlier_repairs(done)])
        outcome.seconds = time.perf_counter() - start
        outcome.write(run)
        asked = {"adapter": adapter, "images": images, "layout": layout, **wanted.given}
        write_prediction_report(run, record, items, masks, outcome, asked)
    return outcome


def earlier_repairs(done: Iterable[Item]) -> list[str]:
    """What was repaired to write the DICOM SEG of cases that were done when a run went on, so that it tells it too."""
    found: list[str] = []
    for item in done:
        if mask_name(item["name"], item["image"]).endswith(SEG_SUFFIX):
            files = [item["image"]] if isinstance(item["image"], str) else item["image"]
            changed = {keyword for file in files for keyword in repaired(read_dataset(Path(file), pixels=False))[1]}
            found += repair_warning(item["name"], sorted(changed))
    return found


def load_for(adapter: str | Path, wanted: SegmentOptions) -> AdaptedSegmenter:
    """Load an adapter to segment in a certain way.

    Raises:
        OptionError: its support set does not have so many subsets, or its network cannot support itself.
        WeightsError: as ``load_adapted``.
    """
    adapted = load_adapted(adapter)
    wanted.refuse_unfit(record_of(adapted).shots, adapted.network)
    wanted.set_on(adapted)
    return adapted


def record_of(adapted: AdaptedSegmenter) -> AdaptationRecord:
    """The record of an adapted network.

    Raises:
        InputError: it has none, because it was filled from a bare state dict.
    """
    if adapted.record is None:
        raise InputError("the adapted network has no record", remedy="load it with medtap.load_adapted")
    return adapted.record


def in_support(case: Case, record: AdaptationRecord) -> bool:
    """Whether a case's image (of a volume, any plane) was learnt from, by the hash of its file."""
    return sha256_of(case.sources) in {source["image_sha256"] for source in (*record.support, *record.lacking)}


def seen_warnings(cases: CaseList, record: AdaptationRecord) -> list[str]:
    """What to tell where images that are segmented are in the support set."""
    seen = sum(in_support(case, record) for case in cases.cases)
    return [f"{seen} of the images are in the support set"] if seen else []
