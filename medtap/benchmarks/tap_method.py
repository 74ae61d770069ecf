"""A few-shot network, adapted or not, as a method of the benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapted import AdaptedSegmenter
from medtap.adapters import Adapter, Lora
from medtap.benchmarks.method import Learnt
from medtap.errors import OptionError
from medtap.half_precision import compact
from medtap.inference import PlaneInferer
from medtap.losses import SMOOTH
from medtap.networks.segmenter import FewShotSegmenter
from medtap.networks.zoo import weights_sha256
from medtap.precision import has_bfloat16
from medtap.support import SupportSet
from medtap.workflows.clean import cleaning, plane_cleaning
from medtap.workflows.predict import record_of
from medtap.workflows.segmenting import SegmentOptions


@dataclass(frozen=True)
class TapEntry:
    """What a configuration says of such a method.

    Attributes:
        network: a name of the zoo, or a folder; the benchmark's where empty.
        size: side in pixels of the support pictures and, unless ``inference`` says else, of queries; the benchmark's
            where None.
        preset: a name of `PRESETS`, which the rest replaces in parts.
        method: name of the adapter; the preset's when None.
        adapter: options of it.
        tap: of `TapOptions`; ``passes: 0`` does not adapt.
        inference: of `SegmentOptions`.
        lacking: how many pictures without the class it learns from too, at most, where the benchmark has such.
    """

    network: str = ""
    size: int | None = None
    preset: str = "medtap"
    method: str | None = None
    adapter: Mapping[str, Any] = field(default_factory=dict)
    tap: Mapping[str, Any] = field(default_factory=dict)
    inference: Mapping[str, Any] = field(default_factory=dict)
    lacking: int = 0

    def __post_init__(self) -> None:
        if self.lacking < 0:
            raise OptionError("lacking cannot be", expected="0 or more", found=str(self.lacking))


@dataclass(frozen=True, eq=False)
class TapMethod:
    """Adapts a network to each support set, and segments queries as ``medtap predict`` does.

    Attributes:
        network: the base network.
        size: side in pixels that it is given pictures at.
        adapter: what is trained.
        options: how it is trained.
        inference: how queries are segmented.
        device: where.
        lacking: how many pictures of a support set without the class it learns from, at most.
    """

    network: FewShotSegmenter
    size: int
    adapter: Adapter = field(default_factory=Lora)
    options: TapOptions = field(default_factory=TapOptions)
    inference: SegmentOptions = field(default_factory=SegmentOptions)
    device: str = "cpu"
    lacking: int = 0

    def describe(self) -> dict[str, Any]:
        """What decides its results."""
        adapter = {"method": self.adapter.name, **self.adapter.options()}
        told: dict[str, Any] = {
            "adapter": adapter,
            "tap": _described(self.options, self.device),
            "inference": asdict(self.inference),
        }
        if self.lacking:
            told["lacking"] = self.lacking
        network = {"network": self.network.name, "weights_sha256": weights_sha256(self.network)}
        return {**network, "size": self.size, "device": self.device, **told}

    def learn(self, support: SupportSet) -> Learnt:
        """Adapt to K pictures.

        Raises:
            AdaptationError: the loss is not a number.
            OptionError: K pictures do not have so many subsets, or the network looks at no support image.
        """
        self.inference.refuse_unfit(support.shots, self.network)
        support = support.with_lacking(self.lacking)
        adapted = take_a_peek(self.network, support, self.adapter, self.options, self.device)
        self.inference.set_on(adapted)
        inferer = PlaneInferer(self.inference.query_size or self.size, flips=self.inference.flips)

        def segment(images: Tensor) -> Tensor:
            return inferer(images.to(torch.device(self.device)), adapted).cpu()

        return Learnt(segment, self._cleaning(adapted), *self._trained(adapted))

    def _cleaning(self, adapted: AdaptedSegmenter) -> Sequence[Callable[[Tensor], Tensor]]:
        if self.inference.clean == "auto":
            return plane_cleaning(record_of(adapted).shapes)
        return cleaning(self.inference.clean, len(adapted.classes))

    def _trained(self, adapted: AdaptedSegmenter) -> tuple[int, int]:
        """How many numbers were trained, and their bytes as they are saved; of no passes, nothing was."""
        values = adapted.adapter.values() if self.options.passes else ()
        return sum(value.numel() for value in values), sum(compact(value).nbytes for value in values)


def _described(options: TapOptions, device: str) -> dict[str, Any]:
    """The options, as the first journals had them: what came later is told where it makes a difference."""
    later = {
        "precision": False,  # below, where it is not single
        "patience": options.patience > 0,
        "loss": options.loss != "focal",
        "group": options.schedule == "per_group",
        "disagreement": options.disagreement > 0,
        "closing": options.guard != "none",
        "forgiven": options.forgiven != 0.01 and options.guard != "none",  # 0.01 was forgiven always, at first
    }
    told = {name: value for name, value in vars(options).items() if later.get(name, True)}
    if options.loss == "dice_ce" or options.guard == "held_out":
        told["smooth"] = SMOOTH
    low = options.precision == "bfloat16" or (options.precision == "auto" and has_bfloat16(device))
    return told | {"precision": "bfloat16"} if low and options.passes else told
