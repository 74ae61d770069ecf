"""The folder that a run writes into: refused, resumed or taken over before any work starts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any, Self

from medtap._version import __version__
from medtap.errors import OutputError
from medtap.outputs.atomic import remove_leftovers
from medtap.outputs.lock import folder_lock, unwritable
from medtap.outputs.overlap import refuse_overlap
from medtap.outputs.state import (
    JOURNAL,
    RUN_FILE,
    installed_versions,
    read_state,
    recorded_files,
    remove_recorded,
    why_not_resumable,
)
from medtap.outputs.tables import plain, write_json


class RunFolder:
    """A run's output folder, as a context manager: locked while it is open, its state kept in ``run.json``.

    Entering refuses what must not be written to. A run that was killed is resumed by a run of the same options, whether
    or not it may overwrite: what `has` says is there need not be made again. ``overwrite`` starts anew where a finished
    run, another run's half or other files are, and removes of them only what medtap wrote. Leaving without an error
    marks the run as done; with one, it stays half-done and can be resumed.

    Attributes:
        path: the folder.
        resuming: whether a half-done run of the same options goes on.

    Args:
        path: the output folder; made if it is missing.
        inputs: the files that are read, and the folders that are read recursively.
        options: what decides the outputs (put hashes of models in, not only their paths); written to ``run.json``, and
            compared when a half-done run is found.
        overwrite: whether files of another run may be replaced.
    """

    def __init__(
        self, path: str | Path, *, inputs: Sequence[str | Path], options: Mapping[str, Any], overwrite: bool = False
    ) -> None:
        self.path = Path(path)
        self.resuming = False
        self._inputs = [Path(p) for p in inputs]
        self._options = plain(options)
        self._overwrite = overwrite
        self._details: dict[str, Any] = {}
        self._files: set[str] = set()
        self._started = _now()
        self._held = ExitStack()

    def __enter__(self) -> Self:
        """Refuse, or lock the folder and mark it as being written.

        Raises:
            OutputError: the folder is an input or lies in one (or an input in it), cannot be written to, is being
                written to by another run, or holds a finished run, another run's half or other files and
                ``overwrite`` was not given.
        """
        refuse_overlap(self.path, self._inputs)
        if read_state(self.path) is None:
            self._refuse_contents()  # before a lock file is put into a folder that is not medtap's
        _make(self.path)
        with ExitStack() as held:
            held.enter_context(folder_lock(self.path))
            self._refuse_contents()
            self._take_over()
            self._held = held.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Mark the run as done if there was no error, and give the folder back."""
        with self._held:
            if error is None:
                self._write_state("done")
                (self.path / JOURNAL).unlink(missing_ok=True)

    def file(self, relative: str | PurePath) -> Path:
        """Where to write a file of this run, noting that it is the run's.

        Args:
            relative: its path inside the folder.

        Raises:
            OutputError: the path leads out of the folder, or the folder cannot be written to.
        """
        inside = PurePath(relative)
        if inside.is_absolute() or ".." in inside.parts:
            remedy = "give a path relative to the output folder"
            raise OutputError("a file would leave the output folder", file=self.path / inside, remedy=remedy)
        if not self.has(inside):
            self._note_file(inside)
        return self.path / inside

    def has(self, relative: str | PurePath) -> bool:
        """Whether this run, before it was interrupted or since, has written a file whole."""
        inside = PurePath(relative)
        return inside.as_posix() in self._files and (self.path / inside).is_file()

    def note(self, **details: Any) -> None:
        """Add to what ``run.json`` says at the end: warnings, times, counts, under names of the caller's choice."""
        self._details |= plain(details)

    def _refuse_contents(self) -> None:
        """Raise OutputError unless the folder is new, empty, a half of this very run, or may be overwritten."""
        if self.path.exists() and not self.path.is_dir():
            raise OutputError(
                "the output is a file", file=self.path, expected="a folder", remedy="choose another --out"
            )
        if self._overwrite or not _contents(self.path):
            return
        problem = why_not_resumable(read_state(self.path), self._options)
        if problem:
            remedy = "choose another --out, or give --overwrite to replace it"
            raise OutputError(problem, file=self.path, expected="a new or empty folder", remedy=remedy)

    def _take_over(self) -> None:
        """Go on with this run's other half, or clear away what an earlier run wrote, and mark the folder as in work."""
        remove_leftovers(self.path)
        state = read_state(self.path)
        self.resuming = state is not None and why_not_resumable(state, self._options) is None
        recorded = recorded_files(self.path, state)
        if self.resuming:
            self._files = recorded
        else:
            remove_recorded(self.path, recorded)
        self._write_state("running")

    def _note_file(self, inside: PurePath) -> None:
        self._files.add(inside.as_posix())
        try:
            # What has this name was not written by this run: were it there after a kill, `has` would take it for done.
            (self.path / inside).unlink(missing_ok=True)
            with (self.path / JOURNAL).open("a", encoding="utf-8") as journal:
                journal.write(f"\n{json.dumps(inside.as_posix())}\n")  # on a line of its own if the last one was cut
        except OSError as error:
            raise unwritable(self.path, error) from error

    def _write_state(self, state: str) -> None:
        times = {"started": self._started, "finished": _now() if state == "done" else None, "resumed": self.resuming}
        document = {"medtap": __version__, "state": state, "options": self._options, "times": times}
        files = sorted(name for name in self._files if self.has(name))
        document |= {"versions": installed_versions(), "files": files, "details": self._details}
        write_json(self.path / RUN_FILE, document, digits=None)


def _contents(folder: Path) -> list[Path]:
    """What lies in a folder besides hidden files, such as those of a run that was killed before it wrote anything."""
    try:
        return [p for p in folder.iterdir() if not p.name.startswith(".")] if folder.exists() else []
    except OSError as error:
        raise unwritable(folder, error) from error


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
