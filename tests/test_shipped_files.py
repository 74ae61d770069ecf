"""Every YAML and JSON that is shipped says what it seems to say, read the way MONAI reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from monai.bundle import ConfigParser

ROOT = Path(__file__).parents[1]
FOLDERS = ("bundles", "configs")


def _holds_a_config(path: Path) -> None:
    """The file parses, names no key twice and is not empty."""
    assert ConfigParser.load_config_file(path)


# What a file of a suffix has to hold; what a config does when it is run is tested beside the code that runs it.
CHECKS: dict[str, Callable[[Path], None]] = {
    ".json": _holds_a_config,
    ".yaml": _holds_a_config,
    ".yml": _holds_a_config,
}


def _shipped(folder: str) -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*") if path.suffix in CHECKS)


@pytest.fixture(autouse=True)
def _no_key_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let MONAI refuse what it would otherwise only warn of."""
    monkeypatch.setenv("MONAI_FAIL_ON_DUPLICATE_CONFIG", "1")


@pytest.mark.parametrize("folder", FOLDERS)
def test_some_are_found(folder: str) -> None:
    assert _shipped(folder)


@pytest.mark.parametrize(
    "path",
    [path for folder in FOLDERS for path in _shipped(folder)],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_file_holds_what_its_suffix_promises(path: Path) -> None:
    CHECKS[path.suffix](path)


@pytest.mark.parametrize(
    ("name", "text"),
    [("twice.json", '{"seed": 0, "seed": 1}'), ("twice.yaml", "seed: 0\nseed: 1\n"), ("cut.json", '{"seed": 0')],
)
def test_mistake_is_found(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=r"[Dd]uplicate|delimiter"):
        CHECKS[Path(name).suffix](tmp_path / name)
