"""Paths that a data list names: only below the list's own folder."""

from __future__ import annotations

import os
from pathlib import Path

from medtap.errors import InputError


def path_below(root: Path, named: str, source: Path) -> Path:
    """The file that a list names, relative to ``root`` or absolute below it, without ``..``.

    Args:
        root: folder of the list.
        named: what the list says.
        source: the list, for the error.

    Raises:
        InputError: it leads out of the folder. What it named is not repeated.
    """
    base = os.path.abspath(root)  # noqa: PTH100 - Path.absolute keeps "..", resolve follows links
    joined = os.path.normpath(os.path.join(base, named.replace("\\", "/")))  # noqa: PTH118 - as above
    if "\0" in named or os.path.commonpath([base, joined]) != base or joined == base:
        raise InputError(
            "a data list that leads out of its own folder",
            file=source,
            expected="paths below the folder of the list",
            found="a path with ../ or an absolute one elsewhere",
            remedy="move the list to a folder above all its files",
        )
    return Path(joined)
