"""Few-shot medical image segmentation that adapts to your images in seconds.

>>> import medtap
>>> adapted = medtap.adapt("support/images", "support/masks", "runs/mine", shots=5)
>>> outcome = medtap.predict("runs/mine", "new/images", "runs/mine-masks")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from medtap._version import __version__
from medtap.errors import MedtapError
from medtap.threads import sleep_while_waiting

if TYPE_CHECKING:
    from medtap.adaptation import TapOptions, take_a_peek
    from medtap.adapted import AdaptedSegmenter, load_adapted
    from medtap.adapters import Lora
    from medtap.data import read_scan
    from medtap.datasets import find_cases
    from medtap.episodes import draw_support
    from medtap.inference import PlaneInferer
    from medtap.many import AdapterPool, take_many_peeks
    from medtap.networks import FewShotSegmenter, load_network
    from medtap.report import contact_sheet
    from medtap.support import SupportSet
    from medtap.workflows import adapt, demo_data, evaluate, predict, show_case

__all__ = [
    "AdaptedSegmenter",
    "AdapterPool",
    "FewShotSegmenter",
    "Lora",
    "MedtapError",
    "PlaneInferer",
    "SupportSet",
    "TapOptions",
    "__version__",
    "adapt",
    "contact_sheet",
    "demo_data",
    "draw_support",
    "evaluate",
    "find_cases",
    "load_adapted",
    "load_network",
    "predict",
    "read_scan",
    "show_case",
    "take_a_peek",
    "take_many_peeks",
]

_HOMES = {
    "AdaptedSegmenter": "medtap.adapted",
    "AdapterPool": "medtap.many",
    "FewShotSegmenter": "medtap.networks",
    "Lora": "medtap.adapters",
    "PlaneInferer": "medtap.inference",
    "SupportSet": "medtap.support",
    "TapOptions": "medtap.adaptation",
    "adapt": "medtap.workflows",
    "contact_sheet": "medtap.report",
    "demo_data": "medtap.workflows",
    "draw_support": "medtap.episodes",
    "evaluate": "medtap.workflows",
    "find_cases": "medtap.datasets",
    "load_adapted": "medtap.adapted",
    "load_network": "medtap.networks",
    "predict": "medtap.workflows",
    "read_scan": "medtap.data",
    "show_case": "medtap.workflows",
    "take_a_peek": "medtap.adaptation",
    "take_many_peeks": "medtap.many",
}

sleep_while_waiting()


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that importing medtap stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'medtap' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
