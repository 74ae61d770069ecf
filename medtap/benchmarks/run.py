"""One entry for all benchmarks: the configuration's ``kind`` says which."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from medtap.benchmarks.cost import run_cost
from medtap.benchmarks.source import run_source
from medtap.errors import OptionError
from medtap.options import read_config
from medtap.outputs import RunFolder, write_json

KINDS: dict[str, Callable[..., dict[str, Any]]] = {"cost": run_cost, "source": run_source}
RESULTS = "results.json"


def run_benchmark(
    config: Path, out: Path, *, seed: int = 0, overwrite: bool = False, **asked: Any
) -> Mapping[str, Any]:
    """Run a benchmark and write ``results.json``.

    Args:
        config: YAML or JSON with a ``kind`` and that kind's options.
        out: the folder to write.
        seed: of everything drawn.
        overwrite: whether an earlier run in ``out`` may be replaced.
        asked: ``data``, ``shots`` and ``episodes`` of the command line; what is not None replaces the configuration's.

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
    with RunFolder(out, inputs=inputs, options=request, overwrite=overwrite) as run:
        results = KINDS[kind](options, seed, config)
        write_json(run.file(RESULTS), results)
    return results
