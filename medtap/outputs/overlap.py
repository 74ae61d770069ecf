"""Outputs must not land among the inputs, nor be read as inputs by the next run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from medtap.errors import OutputError


def refuse_overlap(output: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output folder that is an input folder, lies in one, or has an input in it.

    Links are followed, and names that differ only on paper (case, mounts) are seen to be the same folder.

    Args:
        output: the output folder, which need not exist.
        inputs: input files, and folders that are read recursively; missing ones are somebody else's error.

    Raises:
        OutputError: they overlap.
    """
    for path in inputs:
        if path.exists() and (problem := _overlap(output, path)):
            raise OutputError(problem, file=output, found=f"the input {path}", remedy="choose another --out")


def _overlap(output: Path, path: Path) -> str | None:
    if _lies_in(path, output):
        is_same = path.is_dir() and _lies_in(output, path)
        return "the output folder is an input folder" if is_same else "the output folder has an input in it"
    if path.is_dir() and _lies_in(output, path):
        return "the output folder lies in an input folder"
    return None


def _lies_in(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or lies below it."""
    if not folder.exists():
        return False
    resolved = path.resolve()
    return any(folder.samefile(p) for p in (resolved, *resolved.parents) if p.exists())
