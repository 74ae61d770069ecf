"""Files that are either whole or not there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medtap.errors import OutputError

TEMPORARY_PREFIX = ".medtap-tmp-"


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Write a file under a temporary name, then give it its own in one step.

    The temporary file lies in the same folder, so that renaming it is atomic, and has the same suffixes, which
    writers such as nibabel's go by. It is flushed to the disk before it is renamed. If anything fails, or the process
    is killed, whatever had the final name before still has it. Missing parent folders are made.

    Args:
        path: the final name; an existing file is replaced.

    Yields:
        The temporary path to write to; it exists and is empty.

    Raises:
        OutputError: the disk is full, or the folder or file cannot be written.
    """
    final = Path(path)
    temporary = final.with_name(TEMPORARY_PREFIX + secrets.token_hex(6) + "".join(final.suffixes[-2:])[-16:])
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
        yield temporary
        _flush(temporary)
        temporary.replace(final)
        _flush(final.parent)
    except OSError as error:
        if error.errno is None:
            raise
        raise _refusal(final, error) from error
    finally:
        _discard(temporary)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that killed runs left in a folder and below it.

    Args:
        folder: an output folder that no other run is writing to.
    """
    for leftover in list(folder.rglob(TEMPORARY_PREFIX + "*")):
        _discard(leftover)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # the folder itself is gone or read-only: the first error is the one to report


def _refusal(path: Path, error: OSError) -> OutputError:
    return OutputError(
        "cannot be written",
        file=path,
        expected="a writable folder with space left",
        found=(error.strerror or type(error).__name__).lower(),
        remedy="make room or choose another folder, then run the same command again: it goes on where it stopped",
    )
