"""How fast adapting and segmenting are on the device at hand: what a GPU is good for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import torch
from torch import Generator

from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapted import AdaptedSegmenter
from medtap.benchmarks.cost_measures import network_of
from medtap.benchmarks.cost_options import BuiltNetwork
from medtap.benchmarks.many import settled
from medtap.benchmarks.timing import timed
from medtap.compiling import compile_forward
from medtap.defaults import NETWORK
from medtap.errors import OptionError
from medtap.inference import PlaneInferer, choose_device
from medtap.memory import keep_large_buffers
from medtap.networks.segmenter import FewShotSegmenter
from medtap.options import fill
from medtap.pretraining.synthetic import generated_task
from medtap.support import SupportSet


@dataclass(frozen=True)
class SpeedOptions:
    """What to measure.

    Attributes:
        networks: names of the zoo, folders, or names of ``built``.
        built: networks of random weights by the names that they have here.
        size: side of the images in pixels.
        shots: K.
        passes: T.
        images: pictures segmented, from memory, their reading and writing left out.
        batch_size: pictures at once; 8, or what a GPU's free memory holds, when None.
        compiled: whether the compiled network is measured too.
        repeats: measurements, of which the median is told; after one that is not counted.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    networks: tuple[str, ...] = (NETWORK,)
    built: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    size: int = 400
    shots: int = 5
    passes: int = 8
    images: int = 2000
    batch_size: int | None = None
    compiled: bool = False
    repeats: int = 3
    device: str = "auto"

    def __post_init__(self) -> None:
        if min(self.shots, self.passes, self.images, self.repeats) < 1:
            raise OptionError("a speed that cannot be measured", expected="numbers of at least 1")


def run_speed(
    options: Mapping[str, Any], seed: int, config: Path, say: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Measure every network; ``settings`` by ``"<network>-<size>-k<K>"``.

    Args:
        options: of `SpeedOptions`.
        seed: of pictures and adapters.
        config: the file that the options come from.
        say: is told of each network before it is measured.

    Raises:
        OptionError: an option is unknown or refused, or the device is absent.
    """
    keep_large_buffers()
    speed = fill(SpeedOptions, options, config)
    device = choose_device(speed.device)
    built = {name: fill(BuiltNetwork, of, config) for name, of in speed.built.items()}
    settings = {}
    for name in speed.networks:
        setting = f"{Path(name).name}-{speed.size}-k{speed.shots}"
        say(f"measuring {setting}")
        settings[setting] = measure(network_of(name, built), speed, device, seed)
    on = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    told = {name: value for name, value in vars(speed).items() if name not in ("networks", "built", "device")}
    return {"protocol": {**told, "device": on, "guard": "none", "random_weights": list(built)}, "settings": settings}


def measure(network: FewShotSegmenter, speed: SpeedOptions, device: torch.device, seed: int) -> dict[str, float]:
    """Seconds to adapt, the most of a GPU's memory that took, in MB of 2^20, and images a second afterwards."""
    network = network.to(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    images, masks = generated_task(max(speed.shots, 2), speed.size, Generator().manual_seed(seed))
    support = SupportSet.from_tensors(images[: speed.shots], masks[: speed.shots], ("thing",))
    options = TapOptions(passes=speed.passes, guard="none", seed=seed)
    adapted = take_a_peek(network, support, None, options, device)
    adapt = settled(lambda: take_a_peek(network, support, None, options, device), str(device))
    row = {"adapt_seconds": timed(adapt, speed.repeats, warm_up=0)}
    if device.type == "cuda":
        row["adapt_peak_gpu_mb"] = torch.cuda.max_memory_allocated(device) / 2**20
    row |= rate(adapted, support, speed, device)
    if speed.compiled:
        row |= {f"compiled_{name}": value for name, value in rate(adapted, support, speed, device, True).items()}
    return row


def rate(
    adapted: AdaptedSegmenter, support: SupportSet, speed: SpeedOptions, device: torch.device, compiled: bool = False
) -> dict[str, float]:
    """Images a second, and the seconds before the first one: what choosing a batch, and compiling, take."""
    inferer = PlaneInferer(speed.size, speed.batch_size)

    def segment(count: int) -> None:
        queue = chain.from_iterable(repeat(support.images))
        for _ in inferer.stream((image for image, _ in zip(queue, range(count), strict=False)), adapted, device):
            pass

    start = time.perf_counter()
    if compiled:
        compile_forward(adapted, inferer, device)
    settled(lambda: segment(1), str(device))()
    first = time.perf_counter() - start
    seconds = timed(settled(lambda: segment(speed.images), str(device)), speed.repeats)
    return {"images_per_second": speed.images / seconds, "seconds_before": first}
