"""Configuration files, and frozen option classes filled from them, every mistake reported at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml

from medtap.errors import OptionError

T = TypeVar("T")


def read_config(path: Path) -> dict[str, Any]:
    """Read a YAML or JSON file that holds a mapping.

    Raises:
        OptionError: there is no such file, or it holds something else.
    """
    if not path.is_file():
        raise OptionError("there is no such configuration", file=path)
    try:
        values = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OptionError("the configuration cannot be read", file=path, expected="YAML or JSON") from error
    if not isinstance(values, dict):
        raise OptionError("the configuration holds no options", file=path, expected="name: value")
    return values


def fill(cls: type[T], values: Mapping[str, Any], file: str | Path | None = None) -> T:
    """Make an option class from a mapping.

    Raises:
        OptionError: a key is unknown (the nearest known one is named) or missing, or the class refuses a value.
    """
    if not isinstance(values, Mapping):
        raise OptionError(
            f"options of {cls.__name__} are no mapping", file=file, expected="name: value", found=str(values)
        )
    known = fields(cls)  # type: ignore[arg-type]
    refuse_unknown(values, [field.name for field in known], file)
    needed = [field.name for field in known if field.default is MISSING and field.default_factory is MISSING]
    missing = [name for name in needed if name not in values]
    if missing:
        raise OptionError(f"missing option {', '.join(map(repr, missing))}", file=file)
    try:
        return cls(**values)
    except OptionError as refusal:
        told = {"expected": refusal.expected, "found": refusal.found, "remedy": refusal.remedy}
        raise OptionError(refusal.problem, file=refusal.file or file, **told) from refusal


def refuse_unknown_choice(problem: str, choice: object, known: Iterable[str]) -> None:
    """Refuse a choice that is not one of those known, naming the nearest.

    Raises:
        OptionError: the choice is unknown.
    """
    known = tuple(known)
    if choice not in known:
        near = get_close_matches(str(choice), known, n=1)
        remedy = f"did you mean {near[0]}?" if near else None
        raise OptionError(problem, expected=", ".join(known), found=repr(choice), remedy=remedy)


def refuse_unknown(names: Iterable[str], known: Iterable[str], file: str | Path | None = None) -> None:
    """Refuse names that are not known, all at once, with the nearest known one for each.

    Raises:
        OptionError: at least one name is unknown.
    """
    known = sorted(known)
    mistakes = []
    for name in names:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            mistakes.append(f"{name!r}" + (f" (did you mean {close[0]!r}?)" if close else ""))
    if mistakes:
        raise OptionError(f"unknown option {', '.join(mistakes)}", file=file, expected=f"one of {', '.join(known)}")
