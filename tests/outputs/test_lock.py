"""One run a folder."""

from __future__ import annotations

import errno
import fcntl
import os

import pytest

from medtap.errors import OutputError
from medtap.outputs.lock import LOCK_NAME, folder_lock


def test_second_holder_is_refused_and_the_first_keeps_it(tmp_path):
    with folder_lock(tmp_path):
        for _ in range(2):
            with (
                pytest.raises(OutputError, match="another run is writing into this folder; wait"),
                folder_lock(tmp_path),
            ):
                pass
    assert list(tmp_path.iterdir()) == []


def test_given_back_after_an_error(tmp_path):
    with pytest.raises(ValueError, match="stop"), folder_lock(tmp_path):
        raise ValueError("stop")
    with folder_lock(tmp_path):
        assert (tmp_path / LOCK_NAME).exists()


def test_a_stale_lock_file_does_not_lock(tmp_path):
    (tmp_path / LOCK_NAME).write_text("")
    with folder_lock(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_was_removed_before_it_was_taken_does_not_count(tmp_path, monkeypatch):
    take = fcntl.flock

    def ends_first(descriptor, operation):
        os.unlink(tmp_path / LOCK_NAME)  # noqa: PTH108
        take(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", ends_first)
    with pytest.raises(OutputError, match="another run"), folder_lock(tmp_path):
        pass


def test_missing_folder(tmp_path):
    expected = "cannot be written to; expected a writable folder; found no such file"
    with pytest.raises(OutputError, match=expected), folder_lock(tmp_path / "missing"):
        pass


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OutputError, match="found no locks available; choose another --out"), folder_lock(tmp_path):
        pass
