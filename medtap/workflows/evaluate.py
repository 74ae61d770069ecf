"""From an adapted network and annotated images to scores."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from medtap.compiling import compile_forward
from medtap.data.scan import spacing_of
from medtap.datasets import CaseList, find_cases
from medtap.errors import InputError
from medtap.inference import PlaneInferer, choose_device
from medtap.memory import peak_memory_mb
from medtap.metrics import CaseScores, score_case, summarise
from medtap.options import fill
from medtap.outputs import RunFolder, write_csv, write_json
from medtap.outputs.tables import DIGITS, plain
from medtap.record import AdaptationRecord
from medtap.report import CasePicture
from medtap.workflows.predict import Outcome, Progress, all_items, in_support, load_for, record_of, segment_cases
from medtap.workflows.report import case_picture, write_evaluation_report
from medtap.workflows.segmenting import SegmentOptions
from medtap.workflows.stream import CaseStream, Item, case_items
from medtap.workflows.transforms import evaluation_transforms

METRICS_TABLE, METRICS = "metrics.csv", "metrics.json"


def evaluate(
    adapter: str | Path,
    images: str | Path,
    masks: str | Path | None,
    out: str | Path,
    *,
    layout: str | None = None,
    mask_threshold: float | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    compile_network: bool = False,
    overwrite: bool = False,
    progress: Progress = all_items,
    note: str = "",
    **how: Any,
) -> tuple[dict[str, Any], Outcome]:
    """Segment annotated images that are not in the support set, score them on their own grid, write the scores.

    Args:
        adapter: the folder that ``adapt`` wrote.
        images: a folder (read recursively), a file or a CSV.
        masks: folder or file of the masks; None where a CSV names them.
        out: the folder for ``metrics.csv``, ``metrics.json`` and ``report.html``.
        layout: how the folder is laid out, where that is not plain.
        mask_threshold: foreground of the masks is what lies above it.
        device: ``auto``, ``cpu`` or ``cuda``.
        batch_size: planes at once; when None, 8, or as many as a GPU's free memory holds.
        compile_network: whether torch compiles the network first, see ``compile_forward``.
        overwrite: whether an earlier run in ``out`` may be replaced.
        progress: shows how far the run is.
        note: what the report says of the data.
        how: ``clean``, ``flips``, ``subsets``, ``self_support``, ``query_size`` and ``presence``, as `SegmentOptions`
            takes them.

    Returns:
        The content of ``metrics.json``, and what became of the cases.

    Raises:
        MedtapError: an input, option or output is refused before any work.
    """
    on, wanted = choose_device(device), fill(SegmentOptions, how)
    adapted = load_for(adapter, wanted).to(on)
    record = record_of(adapted)
    cases, left_out = without_support(find_cases(images, masks, layout=layout), record)
    items = case_items(cases, images)
    warnings = [*cases.warnings, *left_out, *wanted.notes(adapted)]
    outcome = Outcome(skipped=list(cases.skipped), warnings=warnings)
    inputs = [Path(folder) for folder in (images, masks) if folder is not None]
    options: dict[str, Any] = {"adapter_sha256": record.adapter_sha256, "inputs": inputs, "layout": layout}
    options |= {"threshold": mask_threshold, **asdict(wanted)}
    preprocessing = evaluation_transforms(record.axis, mask_threshold, record.classes)
    inferer = PlaneInferer(wanted.query_size or record.size, batch_size, flips=wanted.flips)
    if compile_network:
        compile_forward(adapted, inferer, on)
    with RunFolder(out, inputs=inputs, options=options, overwrite=overwrite) as run:
        scores: dict[str, CaseScores] = {}
        pictures: dict[str, CasePicture] = {}
        stream, start = CaseStream(items, preprocessing, outcome.failures), time.perf_counter()
        for item in progress(segment_cases(adapted, stream, inferer, preprocessing, on, wanted.clean), len(items)):
            scores[item["name"]] = score_item(item, record.classes)
            pictures[item["name"]] = case_picture(item, record)
            item.clear()  # lets go of a volume before anything else is read
        outcome.done, outcome.seconds = list(scores), time.perf_counter() - start
        outcome.write(run)
        metrics = write_scores(run, scores, record, failed=len(outcome.failures), seconds=outcome.seconds)
        asked: dict[str, Any] = {"adapter": adapter, "images": images, "masks": masks, "layout": layout}
        asked |= {"mask_threshold": mask_threshold, **wanted.given}
        write_evaluation_report(run, record, metrics, scores, pictures, outcome, asked, note)
    return metrics, outcome


def without_support(cases: CaseList, record: AdaptationRecord) -> tuple[CaseList, list[str]]:
    """Leave out the cases whose image is in the support set, and say how many they were."""
    kept = tuple(case for case in cases.cases if not in_support(case, record))
    left = len(cases.cases) - len(kept)
    return replace(cases, cases=kept), [f"left out {left} cases of the support set"] if left else []


def score_item(item: Item, classes: Sequence[str]) -> CaseScores:
    """Score an item's ``pred`` [1,...] against its ``label`` [1,...], in mm where the image's spacing is known."""
    found, truth = (np.asarray(item[key].cpu())[0].astype(np.uint8) for key in ("pred", "label"))
    return score_case(found, truth, classes, spacing_of(item["label"]))


def write_scores(
    run: RunFolder, scores: Mapping[str, CaseScores], record: AdaptationRecord, *, failed: int, seconds: float
) -> dict[str, Any]:
    """Write ``metrics.csv``, a row a case, and ``metrics.json``; its content, rounded as it is there.

    Raises:
        InputError: every case failed, so there is nothing to tell.
    """
    if not scores:
        raise InputError("no case could be scored", file=run.path, remedy="see failed.csv")
    rows = [{"case": name, **score.row()} for name, score in scores.items()]
    write_csv(run.file(METRICS_TABLE), rows, list(rows[0]))
    metrics = {
        **summarise(list(scores.values()), seed=record.tap["seed"]),
        "failed": failed,
        "classes": record.classes,
        "seed": record.tap["seed"],
        "shots": record.shots,
        "network": record.network,
        "method": record.method,
        "support_sha256": record.support_sha256,
        "cost": {
            "adapt_seconds": record.cost.get("adapt_seconds"),
            "seconds_per_image": round(seconds / len(scores), 4),
            "peak_rss_mb": peak_memory_mb(),
        },
    }
    write_json(run.file(METRICS), metrics)
    return plain(metrics, DIGITS)
