"""Many support sets on one network: adapting to them together, and serving their adapters from one pool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Generator, Tensor

from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapted import AdaptedSegmenter
from medtap.benchmarks.timing import timed
from medtap.defaults import NETWORK
from medtap.errors import OptionError
from medtap.inference import choose_device
from medtap.many import AdapterPool, take_many_peeks
from medtap.memory import keep_large_buffers
from medtap.networks.segmenter import FewShotSegmenter
from medtap.networks.zoo import load_network
from medtap.options import fill
from medtap.pretraining.synthetic import generated_task
from medtap.support import SupportSet

_MB = 2**20


@dataclass(frozen=True)
class ManyOptions:
    """What to measure.

    Attributes:
        network: a name of the zoo, or a folder.
        size: side of the images in pixels.
        shots: K.
        passes: T.
        sets: support sets that are adapted to.
        residents: adapters in the pool.
        batch_size: pictures of the pool's mixed batches.
        repeats: measurements, of which the median is told; after one that is not counted.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    network: str = NETWORK
    size: int = 256
    shots: int = 5
    passes: int = 8
    sets: int = 8
    residents: int = 100
    batch_size: int = 8
    repeats: int = 3
    device: str = "cpu"

    def __post_init__(self) -> None:
        least = min(self.shots, self.passes, self.sets, self.residents, self.batch_size, self.repeats)
        if least < 1:
            raise OptionError("many support sets that cannot be measured", expected="numbers of at least 1")


def run_many(
    options: Mapping[str, Any], seed: int, config: Path, say: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Measure both; ``settings`` has one row, seconds being medians, MB of 2^20 bytes.

    Args:
        options: of `ManyOptions`.
        seed: of pictures and adapters.
        config: the file that the options come from.
        say: is told of what is measured.

    Raises:
        OptionError: an option is unknown, or a value is refused.
    """
    keep_large_buffers()
    many = fill(ManyOptions, options, config)
    many = replace(many, device=str(choose_device(many.device)))
    network = load_network(many.network).to(many.device)
    supports = [generated_set(many, seed + number) for number in range(many.sets)]
    say(f"adapting to {many.sets} support sets, one after another and together")
    row = adapting(network, supports, many, seed)
    say(f"serving {many.residents} adapters")
    row |= serving(network, supports, many)
    told = {name: value for name, value in vars(many).items() if name != "network"}
    protocol = {**told, "guard": "none", "threads": torch.get_num_threads()}
    return {"protocol": protocol, "settings": {Path(many.network).name: row}}


def generated_set(many: ManyOptions, seed: int) -> SupportSet:
    """A generated support set of K images."""
    return SupportSet.from_tensors(*generated_task(many.shots, many.size, Generator().manual_seed(seed)), ("thing",))


def adapting(network: FewShotSegmenter, supports: list[SupportSet], many: ManyOptions, seed: int) -> dict[str, float]:
    """Seconds of adapting to all sets alone and together; both take turns, so that a busy machine slows them alike."""
    options, turns = TapOptions(passes=many.passes, guard="none", seed=seed), many.repeats + 1
    works = {
        "alone_seconds": lambda: [take_a_peek(network, one, None, options, many.device) for one in supports],
        "together_seconds": lambda: take_many_peeks(network, supports, None, options, many.device),
    }
    rounds = [{name: timed(settled(work, many.device), 1, 0) for name, work in works.items()} for _ in range(turns)]
    row = {name: median(one[name] for one in rounds[1:]) for name in works}
    return {**row, "together_speedup": row["alone_seconds"] / row["together_seconds"]}


def serving(network: FewShotSegmenter, supports: list[SupportSet], many: ManyOptions) -> dict[str, float]:
    """Memory and times of a pool, beside an adapted network whose adapter is merged."""
    unadapted = TapOptions(passes=0, guard="none")
    adapted = [take_a_peek(network, support, None, unadapted, many.device) for support in supports]
    pool = AdapterPool(network, many.device, many.batch_size)
    for number, one in zip(range(many.residents), cycle(adapted), strict=False):
        pool.add(str(number), one)
    images, names = cycle(support.images[0] for support in supports), cycle(pool.residents)
    first, query = supports[0].images[:1].to(many.device), [("0", supports[0].images[0])]
    times = {
        "switch_seconds": lambda: switch(pool, next(names)),
        "merged_query_seconds": lambda: segment(adapted[0], first),
        "pool_query_seconds": lambda: list(pool.predict(query)),
        "mixed_batch_seconds": lambda: list(pool.predict(islice(zip(names, images, strict=False), many.batch_size))),
    }
    row = {name: timed(settled(work, many.device), 10 * many.repeats) for name, work in times.items()}
    return {"residents_mb": pool.nbytes / _MB, **row}


def switch(pool: AdapterPool, name: str) -> None:
    """Hand the base network another adapter, and take it away again."""
    with pool.switched([pool.residents[name]]):
        return


@torch.no_grad()
def segment(adapted: AdaptedSegmenter, images: Tensor) -> Tensor:
    """Segment images [B,3,S,S] by an adapted network."""
    return adapted(images)


def settled(work: Callable[[], object], device: str) -> Callable[[], None]:
    """Work that is over when it returns, on a GPU too."""

    def whole() -> None:
        work()
        if choose_device(device).type == "cuda":
            torch.cuda.synchronize()

    return whole
