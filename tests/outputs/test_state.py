"""What a run's folder remembers."""

from __future__ import annotations

import json

import pytest

from medtap.errors import OutputError
from medtap.outputs.state import (
    JOURNAL,
    RUN_FILE,
    installed_versions,
    read_state,
    recorded_files,
    remove_recorded,
    why_not_resumable,
)

STATE = {"medtap": "0", "state": "running", "options": {"a": 1}, "files": ["x.png"]}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"state": "done"}', "\x00"])
def test_a_file_that_medtap_did_not_write_is_no_state(tmp_path, text):
    (tmp_path / RUN_FILE).write_text(text)
    assert read_state(tmp_path) is None


def test_state_and_journal_together(tmp_path):
    (tmp_path / RUN_FILE).write_text(json.dumps(STATE))
    (tmp_path / JOURNAL).write_text('"y.png"\n"z.png"\n"cut')
    assert read_state(tmp_path) == STATE
    assert recorded_files(tmp_path, STATE) == {"x.png", "y.png", "z.png"}
    assert recorded_files(tmp_path, None) == set()


def test_removes_only_inside(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for path in (tmp_path / "keep", folder / "x", folder / "y", folder / JOURNAL):
        path.write_text("")
    remove_recorded(folder, {"../keep", str(tmp_path / "keep"), "x", "missing"})
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["keep", "y"]


def test_a_recorded_file_that_cannot_be_removed(tmp_path):
    (tmp_path / "now-a-folder").mkdir()
    (tmp_path / "now-a-file").write_text("")
    with pytest.raises(OutputError, match="the output folder cannot be written to"):
        remove_recorded(tmp_path, {"now-a-folder"})
    remove_recorded(tmp_path, {"now-a-file/x.png"})
    assert (tmp_path / "now-a-file").exists()


def test_why_not_resumable():
    assert why_not_resumable(STATE, {"a": 1}) is None
    assert why_not_resumable(STATE, {"a": 2}) == "the output folder holds a half-done run of other options"
    assert why_not_resumable({**STATE, "state": "done"}, {"a": 1}) == "the output folder holds a finished run"
    assert why_not_resumable(None, {}) == "the output folder is not empty"


def test_versions(monkeypatch):
    monkeypatch.setattr("medtap.outputs.state._PACKAGES", ("numpy", "no-such-package"))
    assert set(installed_versions()) == {"python", "numpy", "no-such-package"}
    assert installed_versions()["no-such-package"] is None
