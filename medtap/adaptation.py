"""Take a Peek (De Marinis et al., 2026): an encoder adapted to a support set by segmenting it with itself."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from medtap.adapted import AdaptedSegmenter
from medtap.adapters import Adapter, AttachedAdapter, Lora
from medtap.augmentation import augmented_views
from medtap.episodes import SupportSet
from medtap.errors import AdaptationError, OptionError
from medtap.losses import support_loss
from medtap.memory import keep_large_buffers
from medtap.networks.classes import recall_classes, remember_classes
from medtap.networks.segmenter import FewShotSegmenter, share_weights
from medtap.networks.shots import leave_one_out
from medtap.record import AdaptationRecord

SCHEDULES = ("per_pass", "per_support")


@dataclass(frozen=True)
class TapOptions:
    """How to adapt.

    Attributes:
        passes: T, how often every support image is a pseudo-query; 0 leaves the network unadapted.
        learning_rate: of AdamW.
        weight_decay: of AdamW.
        schedule: ``per_support`` steps after each pseudo-query (the paper's), ``per_pass`` after all of them together.
        drawn: with ``per_pass``, supports drawn anew for each pseudo-query, so that cost grows with K, not its square.
        augment: with K > 1, train on a random view of each support image instead of the image itself.
        views: with K = 1, random views of the image that are pseudo-queries beside the image itself.
        seed: of the adapter's initial values, dropout, draws and views.
    """

    passes: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    schedule: str = "per_pass"
    drawn: int = 5
    augment: bool = False
    views: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        wrong = [
            text
            for text, right in (
                (f"passes of at least 0, not {self.passes}", self.passes >= 0),
                (f"a learning rate above 0, not {self.learning_rate}", self.learning_rate > 0),
                (f"a weight decay of at least 0, not {self.weight_decay}", self.weight_decay >= 0),
                (f"a schedule of {' or '.join(SCHEDULES)}, not {self.schedule!r}", self.schedule in SCHEDULES),
                (f"drawn of at least 1, not {self.drawn}", self.drawn >= 1),
                (f"views of at least 0, not {self.views}", self.views >= 0),
            )
            if not right
        ]
        if wrong:
            raise OptionError("options that cannot be adapted with", expected="; ".join(wrong))


@dataclass(frozen=True, eq=False)
class PseudoQueries:
    """Pictures of one optimizer step.

    Attributes:
        images: [P,3,S,S], each encoded once.
        masks: labels [P,S,S].
        queries: indices [Q] of the pictures that are segmented.
        shots: indices [Q,M] of the pictures that each is segmented by.
    """

    images: Tensor
    masks: Tensor
    queries: Tensor
    shots: Tensor


def take_a_peek(
    segmenter: FewShotSegmenter,
    support: SupportSet,
    adapter: Adapter | None = None,
    options: TapOptions | None = None,
    device: torch.device | str = "cpu",
) -> AdaptedSegmenter:
    """Adapt a network's encoder to a support set; the network given stays as it is.

    Args:
        segmenter: a pretrained few-shot network.
        support: K images with masks.
        adapter: what is trained; LoRA by default.
        options: how it is trained.
        device: where.

    Returns:
        A network of one input, images [B,3,H,W] in [0,1], and one output, logits [B,N+1,H,W].

    Raises:
        AdaptationError: the loss is not a number.
    """
    adapter, options = adapter or Lora(), options or TapOptions()
    keep_large_buffers()
    network = share_weights(segmenter).to(device).eval().requires_grad_(False)
    images, masks = support.images.to(device), support.masks.to(device)
    start = time.perf_counter()
    with _seeded(options.seed, device):
        attached = adapter.attach(network.encoder)
        losses = _train(network, attached, images, masks, len(support.classes), options)
        values = attached.state_dict()
        attached.merge()
    with torch.no_grad():
        memory = remember_classes(network, network.encode(images), masks, len(support.classes))
    record = AdaptationRecord.of(segmenter, support, adapter, options, losses, time.perf_counter() - start)
    return AdaptedSegmenter(network, memory, support.classes, values, record)


@torch.enable_grad()
def _train(
    network: FewShotSegmenter,
    attached: AttachedAdapter,
    images: Tensor,
    masks: Tensor,
    classes: int,
    options: TapOptions,
) -> list[float]:
    """Run the passes; the loss of every optimizer step, measured before it."""
    generator = Generator().manual_seed(options.seed)
    attached.reset(generator)
    attached.train()
    optimizer = torch.optim.AdamW(attached.parameters(), options.learning_rate, weight_decay=options.weight_decay)
    losses: list[float] = []
    for step in pseudo_queries(images, masks, options, generator):
        loss = pseudo_query_loss(network, step, classes) + attached.auxiliary_loss()
        if not math.isfinite(loss.item()):
            raise AdaptationError(
                f"the loss is not a number at step {len(losses) + 1}",
                remedy="lower the learning rate (--learning-rate)",
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    attached.train(False)
    return losses


def pseudo_query_loss(network: FewShotSegmenter, step: PseudoQueries, classes: int) -> Tensor:
    """Segment a step's pseudo-queries by their shots, each picture encoded once; the support loss, a scalar."""
    features = network.encode(step.images)
    memory = remember_classes(network, features, step.masks, classes)
    query = tuple(level.index_select(0, step.queries) for level in features)
    logits = recall_classes(network, query, memory, step.masks.shape[-2:], step.shots)
    return support_loss(logits, step.masks[step.queries])


def pseudo_queries(images: Tensor, masks: Tensor, options: TapOptions, generator: Generator) -> Iterator[PseudoQueries]:
    """What each optimizer step trains on: T steps of all K pseudo-queries, or T times K steps of one."""
    for _ in range(options.passes):
        if len(images) == 1:
            seen, labels, shots = _self_pairs(images, masks, options.views, generator)
        else:
            seen, labels = augmented_views(images, masks, generator) if options.augment else (images, masks)
            drawn = options.drawn if options.schedule == "per_pass" else None
            shots = leave_one_out(len(images), drawn, generator)
        steps = torch.arange(len(shots), device=images.device)
        shots = shots.to(images.device)
        for queries in [steps] if options.schedule == "per_pass" else steps.split(1):
            yield PseudoQueries(seen, labels, queries, shots[queries])


def _self_pairs(images: Tensor, masks: Tensor, views: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """K = 1: the image is its own pseudo-query, and so are random views of it, all segmented by the image."""
    if views == 0:
        return images, masks, torch.zeros(1, 1, dtype=torch.int64)
    others = augmented_views(images.expand(views, -1, -1, -1), masks.expand(views, -1, -1), generator)
    seen, labels = torch.cat([images, others[0]]), torch.cat([masks, others[1]])
    return seen, labels, torch.zeros(1 + views, 1, dtype=torch.int64)


@contextmanager
def _seeded(seed: int, device: torch.device | str) -> Iterator[None]:
    """Draw from a seed inside; outside, every generator goes on as if nothing had been drawn."""
    cuda = list(range(torch.cuda.device_count())) if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)
        if cuda:  # torch.manual_seed would seed a GPU that is not used, and leave it so
            torch.cuda.manual_seed_all(seed)
        yield
