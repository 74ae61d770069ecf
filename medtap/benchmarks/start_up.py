"""What a user waits for when a program starts: each command in a process of its own, from a cold start."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch

from medtap.benchmarks.timing import seconds_of, spread
from medtap.errors import OptionError
from medtap.options import fill
from medtap.workflows.demo import demo_data

_COMMAND = """
import atexit, sys
from medtap.memory import peak_memory_mb
atexit.register(lambda: print(peak_memory_mb(), file=sys.stderr))
from medtap.cli import main
main()
"""
_IMPORT = """
import medtap
from medtap.memory import peak_memory_mb
import sys
print(peak_memory_mb(), file=sys.stderr)
"""
_FIRST_MASK = """
import sys
import medtap
import torch
with torch.no_grad():
    medtap.load_adapted(sys.argv[1])(torch.rand(1, 3, 256, 256)).argmax(1)
from medtap.memory import peak_memory_mb
print(peak_memory_mb(), file=sys.stderr)
"""


@dataclass(frozen=True)
class StartUpOptions:
    """What to measure.

    Attributes:
        repeats: measurements, of which median and interquartile range are told; after one that is not counted.
        shots: K of the adaptation.
    """

    repeats: int = 5
    shots: int = 5

    def __post_init__(self) -> None:
        if min(self.repeats, self.shots) < 1:
            raise OptionError("repeats and shots are at least 1", found=f"{self.repeats} and {self.shots}")


def run_start_up(
    options: Mapping[str, Any], seed: int, config: Path, say: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Measure each command; ``settings`` by its name, in seconds and MB of 2^20 bytes.

    Args:
        options: of `StartUpOptions`.
        seed: of the pictures.
        config: the file that the options come from.
        say: is told of each command before it is measured.

    Raises:
        OptionError: an option is unknown, or a value is refused.
    """
    chosen = fill(StartUpOptions, options, config)
    with TemporaryDirectory() as folder:
        rows = {}
        for name, words in commands(Path(folder), chosen.shots, seed).items():
            say(f"measuring {name}")
            rows[name] = measure_command(words, chosen.repeats)
    protocol = {"repeats": chosen.repeats, "shots": chosen.shots, "threads": torch.get_num_threads()}
    return {"protocol": protocol, "settings": rows}


def commands(folder: Path, shots: int, seed: int) -> dict[str, list[str]]:
    """The arguments of Python for each command, by its name; generated pictures are written into a folder."""
    images, masks = (str(path) for path in demo_data(folder / "data", seed))
    adapter, one = str(folder / "adapter"), str(sorted(Path(images).iterdir())[0])
    adapt = ["adapt", "--support-images", images, "--support-masks", masks, "--shots", str(shots), "--out", adapter]
    predict = ["predict", "--adapter", adapter, "--images", one, "--out", str(folder / "masks")]
    return {
        "import medtap": ["-c", _IMPORT],
        "medtap --help": ["-c", _COMMAND, "--help"],
        f"medtap adapt, K = {shots}": ["-c", _COMMAND, *adapt, "--overwrite"],
        "first mask in Python": ["-c", _FIRST_MASK, adapter],
        "medtap predict, one image": ["-c", _COMMAND, *predict, "--overwrite"],
    }


def measure_command(words: list[str], repeats: int) -> dict[str, float]:
    """Run Python with arguments again and again.

    Returns:
        Median and interquartile range of its seconds, and the most memory that it held, in MB.

    Raises:
        RuntimeError: the program failed.
    """
    peaks: list[float] = []
    seconds = seconds_of(lambda: peaks.append(peak_of(words)), repeats)
    return {"seconds": median(seconds), "seconds_spread": spread(seconds), "peak_rss_mb": max(peaks)}


def peak_of(words: list[str]) -> float:
    """The peak of memory that a program tells at its end."""
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the program ended with {done.returncode}: {done.stderr}")
    return float(done.stderr.split()[-1])
