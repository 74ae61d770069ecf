"""The passes of Take a Peek: an attached adapter trained on a support set by segmenting it with itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from statistics import fmean
from typing import Any, TypeAlias

import torch
from torch import Generator, Tensor, nn

from medtap.adapters import AttachedAdapter
from medtap.annotators import redrawn
from medtap.augmentation import augmented_views
from medtap.errors import AdaptationError
from medtap.losses import SUPPORT_LOSSES, Loss, support_loss
from medtap.networks.classes import recall_classes, remember_classes
from medtap.networks.segmenter import FewShotSegmenter
from medtap.networks.shots import leave_one_out
from medtap.tap_options import TapOptions

Learn: TypeAlias = Callable[[Any, torch.optim.Optimizer, int], Any]
"""An optimizer step on what is shown, by its number; the loss before it."""


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


@dataclass(frozen=True, eq=False)
class SupportTraining:
    """Trains an adapter to segment support images by one another.

    Attributes:
        network: in evaluation, with the adapter attached.
        attached: what is trained.
        classes: N.
        options: how.
        rates: by layer, what its learning rate is multiplied by.
    """

    network: FewShotSegmenter
    attached: AttachedAdapter
    classes: int
    options: TapOptions
    rates: Mapping[str, float]

    def run(
        self, images: Tensor, masks: Tensor, volumes: Tensor | None = None, begin: Sequence[Tensor] | None = None
    ) -> list[float]:
        """Run the passes until the patience with the loss ends.

        Args:
            images: [K,3,S,S] in [0,1].
            masks: labels [K,S,S] in 0..N. Pictures that show no class come last; they are pseudo-queries, and no
                shots.
            volumes: number [K] of the volume that each is a plane of, see ``leave_one_out``.
            begin: values of the adapter to begin with; fresh initial ones when None.

        Returns:
            The support loss of every optimizer step, measured before it; what an adapter adds to it is left out.

        Raises:
            AdaptationError: the loss is not a number.
        """
        queries = pseudo_queries(images, masks, self.options, self.start(begin), volumes)
        return self.train((step for _, step in queries), steps_a_pass(self.options, masks), self._step)

    def start(self, begin: Sequence[Tensor] | None = None) -> Generator:
        """Give the adapter its initial values, or those given; the source of chance that is left."""
        generator = Generator().manual_seed(self.options.seed)
        self.attached.reset(generator)
        if begin is not None:
            set_values(self.attached, begin)
        return generator

    @torch.enable_grad()
    def train(self, queries: Iterator[Any], steps: int, learn: Learn) -> list[Any]:
        """Learn from so many queries a pass; the losses."""
        optimizer, losses = self.optimizer(), list[Any]()
        self.attached.train()
        averaged = MeanValues(list(self.attached.parameters()))
        for part in range(self.options.passes):
            if has_stalled(losses, steps, self.options.patience):
                break
            for query in islice(queries, steps):
                losses.append(learn(query, optimizer, len(losses) + 1))
                if part >= self.options.passes - self.options.average:
                    averaged.add()
        averaged.store()
        self.attached.train(False)
        return losses

    def _step(self, step: PseudoQueries, optimizer: torch.optim.Optimizer, number: int) -> float:
        loss = pseudo_query_loss(self.network, step, self.classes, self.loss)
        total = loss + self.attached.auxiliary_loss()
        everything, told = torch.stack([total, loss]).detach().tolist()  # read together: a GPU is waited for once
        if not math.isfinite(everything):
            remedy = "lower the learning rate (--learning-rate)"
            raise AdaptationError(f"the loss is not a number at step {number}", remedy=remedy)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        return float(told)

    @property
    def loss(self) -> Loss:
        """What the passes lower."""
        return SUPPORT_LOSSES[self.options.loss]

    def optimizer(self) -> torch.optim.Optimizer:
        """AdamW over the adapter's parameters, each layer at its own learning rate."""
        layers: dict[float, list[nn.Parameter]] = {}  # by rate, for every group of an optimizer takes its time
        for name, layer in self.attached.layers().items():
            layers.setdefault(self.options.learning_rate * self.rates.get(name, 1.0), []).extend(layer)
        groups = [{"params": parameters, "lr": rate} for rate, parameters in layers.items()]
        return torch.optim.AdamW(groups, weight_decay=self.options.weight_decay, fused=True)


def has_stalled(losses: Sequence[float], steps: int, patience: int) -> bool:
    """Whether the mean loss of the last passes, as many as the patience, has not fallen below that of a pass before.

    Args:
        losses: of every optimizer step so far; a pass that is not complete does not count.
        steps: of a pass.
        patience: in passes; 0 is endless.
    """
    if patience == 0:
        return False
    means = [fmean(losses[end - steps : end]) for end in range(steps, len(losses) + 1, steps)]
    return patience < len(means) and min(means[-patience:]) >= min(means[:-patience])


def values(attached: AttachedAdapter) -> list[Tensor]:
    """Copies of an adapter's values."""
    return [parameter.detach().clone() for parameter in attached.parameters()]


@torch.no_grad()
def set_values(attached: AttachedAdapter, given: Sequence[Tensor]) -> None:
    """Give an adapter values, as ``values`` tells them."""
    for parameter, value in zip(attached.parameters(), given, strict=True):
        parameter.copy_(value)


class MeanValues:
    """The mean of parameters over the moments at which they were added."""

    def __init__(self, parameters: list[Tensor]) -> None:
        self.parameters, self.count = parameters, 0
        self.sums = [torch.zeros_like(parameter, requires_grad=False) for parameter in parameters]

    @torch.no_grad()
    def add(self) -> None:
        """Count the values of this moment in."""
        for total, parameter in zip(self.sums, self.parameters, strict=True):
            total += parameter
        self.count += 1

    @torch.no_grad()
    def store(self) -> None:
        """Give the parameters their means, where any were added."""
        if self.count:
            for total, parameter in zip(self.sums, self.parameters, strict=True):
                parameter.copy_(total / self.count)


def pseudo_query_loss(
    network: FewShotSegmenter, step: PseudoQueries, classes: int, loss: Loss = support_loss
) -> Tensor:
    """Segment a step's pseudo-queries by their shots, each picture encoded once; the loss, a scalar."""
    return loss(pseudo_query_logits(network, step, classes), step.masks[step.queries])


def pseudo_query_logits(network: FewShotSegmenter, step: PseudoQueries, classes: int) -> Tensor:
    """Segment a step's pseudo-queries by their shots, each picture encoded once; logits [Q,N+1,S,S]."""
    features = network.encode(step.images)
    memory = remember_classes(network, features, step.masks, classes)
    query = tuple(level.index_select(0, step.queries) for level in features)
    return recall_classes(network, query, memory, step.masks.shape[-2:], step.shots)


def show_a_class(masks: Tensor) -> Tensor:
    """Which of K pictures with labels [K,S,S] show any class, [K]."""
    return masks.flatten(1).any(1)


def shots_in(masks: Tensor) -> int:
    """How many of K pictures with labels [K,S,S] show any class, and so are shots."""
    return int(show_a_class(masks).sum())


def steps_a_pass(options: TapOptions, masks: Tensor) -> int:
    """Optimizer steps of each pass over pictures with labels [K,S,S]."""
    return options.steps_a_pass(shots_in(masks), len(masks))


def pseudo_queries(
    images: Tensor, masks: Tensor, options: TapOptions, generator: Generator, volumes: Tensor | None = None
) -> Iterator[tuple[int, PseudoQueries]]:
    """What each optimizer step trains on, with its pass."""
    shown = show_a_class(masks).cpu()  # read once: a GPU is waited for
    for part in range(options.passes):
        for step in _steps(images, masks, options, generator, volumes, shown):
            yield part, replace(step, masks=redrawn(step.masks, options.disagreement, generator))


def _steps(
    images: Tensor, masks: Tensor, options: TapOptions, generator: Generator, volumes: Tensor | None, shown: Tensor
) -> Iterator[PseudoQueries]:
    """The steps of a pass: one of all K pseudo-queries, K of one each, or one a group."""
    if int(shown.sum()) == 1:
        seen, labels, shots = _self_pairs(images, masks, options, generator)
    else:
        seen, labels = augmented_views(images, masks, generator, options.augment)
        if options.schedule == "per_group":
            yield from _groups(seen, labels, options, generator, volumes, shown)
            return
        drawn = options.drawn or None if options.schedule == "per_pass" else None
        shots = leave_one_out(len(images), drawn, generator, volumes, shown)
    queries, shots = torch.arange(len(shots), device=images.device), shots.to(images.device)
    for step in queries.split(1) if options.schedule == "per_support" else [queries]:
        yield PseudoQueries(seen, labels, step, shots[step])


def _groups(
    images: Tensor, masks: Tensor, options: TapOptions, generator: Generator, volumes: Tensor | None, shown: Tensor
) -> Iterator[PseudoQueries]:
    """The support set shared out to groups at random, each of its pictures segmented by the others of its group.

    What shows a class and what does not are shared out evenly.
    """
    steps = options.steps_a_pass(int(shown.sum()), len(images))
    kinds = [torch.where(kind)[0] for kind in (shown, ~shown)]
    shares = [kind[torch.randperm(len(kind), generator=generator)].tensor_split(steps) for kind in kinds]
    for group in map(torch.cat, zip(*shares, strict=True)):
        own = None if volumes is None else volumes[group]
        shots = leave_one_out(len(group), None, generator, own, shown[group])
        chosen, queries = group.to(images.device), torch.arange(len(group), device=images.device)
        yield PseudoQueries(images[chosen], masks[chosen], queries, shots.to(images.device))


def _self_pairs(
    images: Tensor, masks: Tensor, options: TapOptions, generator: Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """K = 1: the first image is its own pseudo-query, and so are random views of it; all are segmented by the image."""
    views = options.views
    if views:
        change = options.augment if options.augment != "none" else "mirrored"
        repeated = images[:1].expand(views, -1, -1, -1), masks[:1].expand(views, -1, -1)
        others = augmented_views(*repeated, generator, change)
        images, masks = torch.cat([images, others[0]]), torch.cat([masks, others[1]])
    return images, masks, torch.zeros(len(images), 1, dtype=torch.int64)
