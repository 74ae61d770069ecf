"""One entry for all benchmarks: the configuration's ``kind`` says which."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from medtap.benchmarks.adapter_cost import run_adapter_cost
from medtap.benchmarks.cost import run_cost
from medtap.benchmarks.episodes import JOURNAL, run_episodes
from medtap.benchmarks.heads import run_heads
from medtap.benchmarks.many import run_many
from medtap.benchmarks.source import run_source
from medtap.benchmarks.speed import run_speed
from medtap.benchmarks.start_up import run_start_up
from medtap.benchmarks.tricks import run_tricks
from medtap.errors import OptionError
from medtap.options import read_config
from medtap.outputs import RunFolder, write_json
from medtap.outputs.state import read_state
from medtap.outputs.tables import plain

KINDS: dict[str, Callable[..., dict[str, Any]]] = {
    "cost": run_cost,
    "tricks": run_tricks,
    "start_up": run_start_up,
    "many": run_many,
    "speed": run_speed,
    "adapter_cost": run_adapter_cost,
    "heads": run_heads,
    "source": run_source,
    "episodes": run_episodes,
}
RESUMED = ("episodes",)
"""Kinds that keep a journal in the folder, so that a run of other methods goes on with it."""
WRITING = (*RESUMED, "cost", "tricks")
"""Kinds that write files of their own into the folder."""
RESULTS = "results.json"
_MAY_DIFFER = ("methods", "network", "episodes", "note", "published")  # of runs that share a journal


def run_benchmark(
    config: Path,
    out: Path,
    *,
    seed: int = 0,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda _: None,
    **asked: Any,
) -> Mapping[str, Any]:
    """Run a benchmark and write ``results.json``.

    Args:
        config: YAML or JSON with a ``kind`` and that kind's options.
        out: the folder to write.
        seed: of everything drawn.
        overwrite: whether an earlier run in ``out`` may be replaced, and what it measured forgotten.
        say: is told how far a long benchmark is.
        asked: options of the command line; what is not None replaces the configuration's.

    Raises:
        OptionError: the configuration is missing, its kind or one of its options is unknown.
    """
    options = read_config(config)
    kind = options.pop("kind", None)
    if kind not in KINDS:
        raise OptionError(f"no benchmark is of kind {kind!r}", file=config, expected=f"one of {', '.join(KINDS)}")
    options |= {name: value for name, value in asked.items() if value is not None}
    request = {"config": config.name, "seed": seed, **options}
    inputs = [Path(options["data"])] if options.get("data") else []
    goes_on = kind in RESUMED and _shares_journal(out, request)
    with RunFolder(out, inputs=inputs, options=request, overwrite=overwrite or goes_on) as run:
        if overwrite:
            (run.path / JOURNAL).unlink(missing_ok=True)
        own = {"run": run} if kind in WRITING else {}
        results = KINDS[kind](options, seed, config, say=say, **own)
        write_json(run.file(RESULTS), results)
    return results


def _shares_journal(out: Path, request: Mapping[str, Any]) -> bool:
    """Whether the folder holds a run of the same episodes, done or not."""
    state = read_state(out)
    return state is not None and _fixed(state["options"]) == _fixed(plain(request))


def _fixed(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in _MAY_DIFFER}
