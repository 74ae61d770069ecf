"""Everything needed to run it again: command lines, versions, and the hashes of what decided the result."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from medtap._version import __version__
from medtap.outputs.state import installed_versions
from medtap.record import AdaptationRecord
from medtap.report.page import Rerun, Table

_UNKNOWN = "FOLDER"
_HASH_SHOWN = 16


def rerun(command: str, options: Mapping[str, Any], record: AdaptationRecord, adapted: Mapping[str, Any]) -> Rerun:
    """How to do a run again. How a fine-tuned adapter was made is told by its options alone.

    Args:
        command: ``predict`` or ``evaluate``.
        options: the command's options by their Python names; None is left out.
        record: of the adapter.
        adapted: what ``run.json`` beside the adapter says of its options; empty where there is none.
    """
    made = (adapt_command(record, adapted, str(options["adapter"])),) if _was_peeked(record) else ()
    again = command_line(command, {**options, "out": _UNKNOWN})
    return Rerun((*made, again), _facts(record), _support(record))


def command_line(command: str, options: Mapping[str, Any]) -> str:
    """A command of medtap with its options, quoted for a shell; without those that are None or False."""
    words = ["medtap", command]
    for name, value in options.items():
        if value is not None and value is not False:
            words += [f"--{name.replace('_', '-')}"] + ([] if value is True else [f"{value}"])
    return shlex.join(words)


def adapt_command(record: AdaptationRecord, adapted: Mapping[str, Any], out: str) -> str:
    """The command that makes the adapter again, of one that `medtap adapt` made; unknown folders are called FOLDER.

    Args:
        record: of the adapter.
        adapted: what ``run.json`` beside the adapter says of its options.
        out: the folder of the adapter.
    """
    inputs: Sequence[str] = adapted.get("inputs") or (_UNKNOWN, _UNKNOWN)
    support: Mapping[str, Any] = adapted.get("support") or {"axis": record.axis, "classes": record.classes}
    classes = support.get("classes")
    options = {"network": record.network, "method": record.method, "rank": record.adapter.get("rank")}
    options |= {key: record.tap.get(key) for key in ("passes", "learning_rate", "schedule", "augment")}
    options |= {key: record.tap.get(key) for key in ("loss", "rates", "average", "patience", "guard")}
    options |= {"shots": record.shots, "lacking": len(record.lacking) or None, "size": adapted.get("size")}
    options |= {"seed": record.tap["seed"], "axis": record.axis}
    options |= {"layout": support.get("layout"), "mask_threshold": support.get("mask_threshold")}
    options |= {"classes": ",".join(classes) if classes else None, "support_images": inputs[0]}
    options |= {"support_masks": inputs[1] if len(inputs) > 1 else None, "out": out}
    return command_line("adapt", options)


def _was_peeked(record: AdaptationRecord) -> bool:
    """Whether `medtap adapt` made the adapter: fine-tuning counts epochs, not passes, and has no command."""
    return "passes" in record.tap


def _facts(record: AdaptationRecord) -> tuple[tuple[str, str], ...]:
    versions = {"medtap": __version__, **installed_versions()}
    return (
        ("support set (SHA-256)", record.support_sha256),
        ("base weights (SHA-256)", record.base_sha256),
        ("adapter (SHA-256)", record.adapter_sha256),
        ("adapter made by", f"medtap {record.medtap}"),
        ("adapter options", _pairs(record.adapter)),
        ("adaptation options", _pairs(record.tap)),
        ("input size of the network", f"{record.size} px"),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items() if version)),
    )


def _pairs(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(options.items()) if value is not None)


def _support(record: AdaptationRecord) -> Table:
    told = [*((source, "") for source in record.support), *((source, " (shows no class)") for source in record.lacking)]
    volumes = any(source["plane"] is not None for source, _ in told)
    rows = [
        (
            f"{source['name']}{kind}",
            *(("-" if source["plane"] is None else str(source["plane"] + 1),) if volumes else ()),
            f"{str(source['image_sha256'])[:_HASH_SHOWN]}…" if source["image_sha256"] else "-",
        )
        for source, kind in told
    ]
    head = ("support image", *(("plane",) if volumes else ()), "SHA-256 of the file")
    return Table("Images of the support set", head, rows)
