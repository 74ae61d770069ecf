"""What a run's folder remembers: ``run.json``, and while the run goes on a journal of the files it wrote."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path, PurePath
from typing import Any

from medtap.outputs.lock import unwritable

RUN_FILE = "run.json"
JOURNAL = ".medtap.files"
_PACKAGES = ("torch", "monai", "numpy", "nibabel", "pydicom", "highdicom", "peft", "transformers")


def read_state(folder: Path) -> dict[str, Any] | None:
    """What ``run.json`` says, or None where there is none that medtap wrote.

    Args:
        folder: the output folder.
    """
    try:
        state = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_ours = isinstance(state, dict) and {"medtap", "state", "options", "files"} <= state.keys()
    return state if is_ours else None


def recorded_files(folder: Path, state: Mapping[str, Any] | None) -> set[str]:
    """The files that ``run.json`` and the journal of a killed run name; a line that was cut short is left out.

    Args:
        folder: the output folder.
        state: what ``run.json`` says; without it nothing in the folder is medtap's.

    Returns:
        Paths relative to the folder, with forward slashes; some may not have been written.
    """
    recorded = set(state["files"]) if state else set()
    journal = folder / JOURNAL
    lines = journal.read_text(encoding="utf-8").splitlines() if state and journal.exists() else []
    return recorded | {name for line in lines if (name := _whole_name(line)) is not None}


def _whole_name(line: str) -> str | None:
    try:
        return str(json.loads(line))
    except ValueError:
        return None


def remove_recorded(folder: Path, files: set[str]) -> None:
    """Remove the files that an earlier run recorded, and its journal last, so that a kill in between forgets none.

    Args:
        folder: the output folder.
        files: paths relative to it; those that lead out of it are left alone.

    Raises:
        OutputError: one of them cannot be removed.
    """
    for name in [*sorted(files), JOURNAL]:
        inside = PurePath(name)
        if not inside.is_absolute() and ".." not in inside.parts:
            _unlink(folder, inside)


def _unlink(folder: Path, inside: PurePath) -> None:
    try:
        (folder / inside).unlink(missing_ok=True)
    except NotADirectoryError:
        return  # a file has the name of what was its folder, so it is not there either
    except OSError as error:
        raise unwritable(folder, error) from error


def installed_versions() -> dict[str, str | None]:
    """The versions of Python and of the packages that decide the outputs; None for one that is not installed."""
    installed = {name: _version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), **installed}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def why_not_resumable(state: Mapping[str, Any] | None, options: Mapping[str, Any]) -> str | None:
    """What keeps a run from going on in a folder that is not empty, or None if it may.

    Args:
        state: what the folder's ``run.json`` says.
        options: the options of the run that wants to start.
    """
    if state is None:
        return "the output folder is not empty"
    if state["state"] == "done":
        return "the output folder holds a finished run"
    if state["options"] != options:
        return "the output folder holds a half-done run of other options"
    return None
