"""Work in a process of its own."""

from __future__ import annotations

import os

import pytest

from medtap.benchmarks.fresh_process import in_fresh_process


def test_work_is_done_elsewhere_and_sees_its_environment() -> None:
    os.environ.pop("MEDTAP_TRIED", None)
    process, seen = in_fresh_process(eval, "(__import__('os').getpid(), __import__('os').getenv('MEDTAP_TRIED'))")
    assert process != os.getpid()
    assert seen is None
    assert in_fresh_process(os.getenv, "MEDTAP_TRIED", environment={"MEDTAP_TRIED": "yes"}) == "yes"
    assert "MEDTAP_TRIED" not in os.environ


def test_environment_is_put_back_and_errors_come_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDTAP_TRIED", "before")
    with pytest.raises(ValueError, match="invalid literal"):
        in_fresh_process(int, "x", environment={"MEDTAP_TRIED": "within"})
    assert os.environ["MEDTAP_TRIED"] == "before"
