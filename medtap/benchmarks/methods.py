"""Methods of a benchmark by the names and options that a configuration gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from medtap.benchmarks.baselines import CentredDisc, Otsu
from medtap.benchmarks.method import Method
from medtap.benchmarks.scratch_unet import ScratchUnet
from medtap.benchmarks.tap_method import TapEntry, TapMethod
from medtap.networks.segmenter import FewShotSegmenter
from medtap.options import fill, refuse_unknown_choice
from medtap.presets import use_preset
from medtap.workflows.segmenting import SegmentOptions

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Defaults:
    """What methods take from their benchmark where they do not say else.

    Attributes:
        load: gives a network by its name or folder.
        network: name or folder of the network.
        size: side in pixels of a network's input; the network's own when None.
        seed: of everything drawn.
        device: where.
        config: the file, for errors.
    """

    load: Callable[[str], FewShotSegmenter]
    network: str
    size: int | None
    seed: int
    device: str
    config: Path


def build_method(name: str, options: Options, defaults: Defaults) -> Method:
    """Build a method.

    Args:
        name: its name, which says its ``kind`` where that is a name of one; else it is ``tap``.
        options: ``kind`` and the options of that kind.
        defaults: what they do not say.

    Raises:
        OptionError: an unknown kind or option, or a value that is refused.
    """
    options = dict(options)
    kind = options.pop("kind", name if name in KINDS else "tap")
    refuse_unknown_choice(f"unknown kind of the method {name!r}", kind, KINDS)
    return KINDS[kind](options, defaults)


def _tap(options: Options, defaults: Defaults) -> Method:
    entry = fill(TapEntry, options, defaults.config)
    network = defaults.load(entry.network or defaults.network)
    adapter, tap = use_preset(entry.preset, entry.method, entry.adapter, **{"seed": defaults.seed, **entry.tap})
    return TapMethod(
        network,
        entry.size or defaults.size or network.size,
        adapter,
        tap,
        fill(SegmentOptions, entry.inference, defaults.config),
        defaults.device,
        entry.lacking,
    )


def _scratch_unet(options: Options, defaults: Defaults) -> Method:
    return fill(ScratchUnet, {"seed": defaults.seed, "device": defaults.device, **options}, defaults.config)


def _of_class(method: type[Method], options: Options, defaults: Defaults) -> Method:
    return fill(method, options, defaults.config)


KINDS: dict[str, Callable[[Options, Defaults], Method]] = {
    "tap": _tap,
    "unet_from_scratch": _scratch_unet,
    "centred_disc": partial(_of_class, CentredDisc),
    "otsu": partial(_of_class, Otsu),
}
