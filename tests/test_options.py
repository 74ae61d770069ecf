"""Option classes filled from mappings."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from medtap.errors import OptionError
from medtap.options import fill, refuse_unknown


@dataclass(frozen=True)
class Options:
    """Two that are needed, two that are not."""

    rank: int
    passes: int
    seed: int = 0
    names: list[str] = field(default_factory=list)


def test_fill_takes_what_is_given_and_defaults() -> None:
    assert fill(Options, {"rank": 2, "passes": 3, "names": ["a"]}) == Options(2, 3, 0, ["a"])


def test_unknown_names_are_refused_at_once_with_the_nearest() -> None:
    with pytest.raises(OptionError, match=r"unknown option 'rnk' \(did you mean 'rank'\?\), 'zzz'; expected one of") as e:
        fill(Options, {"rnk": 2, "zzz": 1, "seed": 0}, "some.yaml")
    assert str(e.value).startswith("some.yaml: ")


def test_missing_names_are_refused_at_once() -> None:
    with pytest.raises(OptionError, match=r"x.yaml: missing option 'rank', 'passes'$"):
        fill(Options, {"seed": 1}, "x.yaml")


def test_known_names_pass() -> None:
    refuse_unknown(["b", "a"], ["a", "b", "c"])
    refuse_unknown([], [])
