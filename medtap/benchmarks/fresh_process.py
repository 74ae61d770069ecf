"""Work in a process of its own: it begins with nothing imported, its own memory and its own environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, TypeVar

R = TypeVar("R")


def in_fresh_process(work: Callable[..., R], *arguments: Any, environment: Mapping[str, str] | None = None) -> R:
    """Call a function in a new Python process and give what it returns.

    Args:
        work: a function of a module, which the process imports anew.
        arguments: of it, picklable.
        environment: variables that the process sees beside those of this one.

    Raises:
        Exception: what the function raised.
    """
    with _environment(environment or {}), ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Environment variables as a process sees them that is started within."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
