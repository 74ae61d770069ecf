"""Frozen option classes filled from mappings, every mistake reported at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from medtap.errors import OptionError

T = TypeVar("T")


def fill(cls: type[T], values: Mapping[str, Any], file: str | Path | None = None) -> T:
    """Make an option class from a mapping.

    Raises:
        OptionError: a key is unknown (the nearest known one is named) or missing, or the class refuses a value.
    """
    known = fields(cls)  # type: ignore[arg-type]
    refuse_unknown(values, [field.name for field in known], file)
    needed = [field.name for field in known if field.default is MISSING and field.default_factory is MISSING]
    missing = [name for name in needed if name not in values]
    if missing:
        raise OptionError(f"missing option {', '.join(map(repr, missing))}", file=file)
    return cls(**values)


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
