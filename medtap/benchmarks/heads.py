"""What decoding costs beside encoding, and how much a head keeps of a support set, for every published head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from medtap.benchmarks.timing import timed
from medtap.chance import seeded
from medtap.errors import OptionError
from medtap.memory import keep_large_buffers
from medtap.networks.segmenter import FewShotSegmenter, unfold_shots
from medtap.networks.zoo import build_network
from medtap.options import fill

_MEGABYTE = 2**20


@dataclass(frozen=True)
class HeadsOptions:
    """What to measure.

    Attributes:
        networks: names of the zoo, and the side in pixels of the images of each; their weights are random.
        shots: K.
        object_side: the part of a side that the square object of every mask takes.
        repeats: measurements, of which the median is told; after one that is not counted.
    """

    networks: Mapping[str, int] = field(default_factory=dict)
    shots: int = 5
    object_side: float = 0.5
    repeats: int = 3

    def __post_init__(self) -> None:
        if not self.networks:
            raise OptionError("a benchmark without networks", expected="networks: {name: size}")


def run_heads(
    options: Mapping[str, Any], seed: int, config: Path, say: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Measure every head; ``settings`` by network, times in seconds.

    Args:
        options: of `HeadsOptions`.
        seed: of images and weights.
        config: the file that the options come from.
        say: is told of each network before it is measured.

    Raises:
        OptionError: an option or a network is unknown, or there is no network.
    """
    keep_large_buffers()
    heads = fill(HeadsOptions, options, config)
    settings = {}
    for name, size in heads.networks.items():
        say(f"measuring {name} at {size} px")
        with seeded(seed, "cpu"):
            network = build_network(name).eval().requires_grad_(False)
        settings[name] = measure(network, size, heads, seed)
    protocol = {"shots": heads.shots, "object_side": heads.object_side, "repeats": heads.repeats, "weights": "random"}
    return {"protocol": {**protocol, "threads": torch.get_num_threads()}, "settings": settings}


@torch.no_grad()
def measure(network: FewShotSegmenter, size: int, heads: HeadsOptions, seed: int) -> dict[str, float]:
    """Measure one head: encoding an image, remembering K shots from their features, and recalling them for an image.

    Returns:
        Seconds, thousand million floating-point operations of matrix products and convolutions, and MB of 2^20 bytes of
        what is kept, beside that of the shots' features.
    """
    images = torch.rand((heads.shots + 1, 3, size, size), generator=Generator().manual_seed(seed))
    masks = centred_masks(heads.shots, size, heads.object_side)
    support, query = unfold_shots(network.encode(images[1:]), 1), network.encode(images[:1])
    memory = network.remember(support, masks)
    works: dict[str, Callable[[], object]] = {
        "encode": lambda: network.encode(images[:1]),
        "remember": lambda: network.remember(support, masks),
        "recall": lambda: network.recall(query, memory),
    }
    row = {f"{name}_seconds": timed(work, heads.repeats) for name, work in works.items()}
    row |= {f"{name}_gflop": operations(work) / 1e9 for name, work in works.items()}
    kept = stored_bytes(memory)
    row |= {"memory_mb": kept / _MEGABYTE, "memory_over_features": kept / stored_bytes(support)}
    return {"recall_over_encode": row["recall_seconds"] / row["encode_seconds"], **row}


def centred_masks(shots: int, size: int, part: float) -> Tensor:
    """Masks [1,K,S,S] of a square in the middle, with a side of this part of the image's."""
    masks, edge = torch.zeros(1, shots, size, size), round(size * (1 - part) / 2)
    masks[..., edge : size - edge, edge : size - edge] = 1
    return masks


def operations(work: Callable[[], object]) -> int:
    """Floating-point operations of the matrix products, attentions and convolutions of some work."""
    known = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention}
    with FlopCounterMode(display=False, custom_mapping=known) as counter:
        work()
    return counter.get_total_flops()


def _attention(query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object) -> int:
    """Torch's own count, which it does not know for the attention of CPUs."""
    return int(sdpa_flop_count(query, key, value))


def stored_bytes(tensors: tuple[Tensor, ...]) -> int:
    """Bytes that tensors take."""
    return sum(tensor.nbytes for tensor in tensors)
