"""Runs of a compiled network: compiled before anything is written, and refused then where it cannot be."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from medtap.errors import OptionError
from medtap.workflows import evaluate, predict

Folders = tuple[Path, Path]


def test_prediction_is_refused_before_any_work(
    skin_adapter: Path, lesions: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("medtap.workflows.predict"), "compile_forward", refuse)
    with pytest.raises(OptionError, match="cannot be compiled here"):
        predict(skin_adapter, lesions[0], tmp_path / "out", compile_network=True)
    assert not (tmp_path / "out").exists()


def test_evaluation_is_refused_before_any_work(
    skin_adapter: Path, lesions: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("medtap.workflows.evaluate"), "compile_forward", refuse)
    with pytest.raises(OptionError, match="cannot be compiled here"):
        evaluate(skin_adapter, *lesions, tmp_path / "out", compile_network=True)
    assert not (tmp_path / "out").exists()


def refuse(*_: object) -> None:
    raise OptionError("the network cannot be compiled here")
