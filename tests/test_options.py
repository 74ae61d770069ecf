"""Option classes filled from mappings."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from medtap.errors import OptionError
from medtap.options import fill, read_config, refuse_unknown


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
    with pytest.raises(
        OptionError, match=r"unknown option 'rnk' \(did you mean 'rank'\?\), 'zzz'; expected one of"
    ) as e:
        fill(Options, {"rnk": 2, "zzz": 1, "seed": 0}, "some.yaml")
    assert str(e.value).startswith("some.yaml: ")


def test_missing_names_are_refused_at_once() -> None:
    with pytest.raises(OptionError, match=r"x.yaml: missing option 'rank', 'passes'$"):
        fill(Options, {"seed": 1}, "x.yaml")


def test_known_names_pass() -> None:
    refuse_unknown(["b", "a"], ["a", "b", "c"])
    refuse_unknown([], [])


def test_a_configuration_is_a_mapping(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("kind: cost\nsizes: [256]\n")
    assert read_config(path) == {"kind": "cost", "sizes": [256]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [("a: [1", "the configuration cannot be read"), ("just words", "holds no options"), ("", "holds no options")],
)
def test_what_is_no_configuration_is_refused(tmp_path, text, problem):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(OptionError, match=problem):
        read_config(path)
    with pytest.raises(OptionError, match="no such configuration"):
        read_config(tmp_path / "b.yaml")
