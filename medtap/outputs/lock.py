"""A lock on a folder that the system gives back when its holder dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medtap.errors import OutputError

LOCK_NAME = ".medtap.lock"


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold a folder for one run; the lock file is gone afterwards.

    Args:
        folder: an existing folder.

    Raises:
        OutputError: another run holds the folder, or it cannot be written to or locked.
    """
    path = folder / LOCK_NAME
    descriptor = _open(path)
    try:
        _take(descriptor, path)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)  # whoever opened it meanwhile finds in `_take` that it is the folder's no more
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise unwritable(path.parent, error) from error


def _take(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _busy(path.parent) from error
    except OSError as error:
        raise unwritable(path.parent, error) from error
    if not _is_current(descriptor, path):
        raise _busy(path.parent)


def _is_current(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _busy(folder: Path) -> OutputError:
    return OutputError(
        "another run is writing into this folder",
        file=folder,
        remedy="wait until it has ended, or choose another --out",
    )


def unwritable(folder: Path, error: OSError) -> OutputError:
    """The error for a folder that the system refuses to write to.

    Args:
        folder: the folder.
        error: what the system said.

    Returns:
        The error to raise.
    """
    return OutputError(
        "the output folder cannot be written to",
        file=folder,
        expected="a writable folder",
        found=(error.strerror or type(error).__name__).lower(),
        remedy="choose another --out",
    )
