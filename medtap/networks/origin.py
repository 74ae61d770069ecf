"""Where a network and its weights come from, told beside the network's builder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from medtap.networks.segmenter import FewShotSegmenter

Builder: TypeAlias = Callable[..., FewShotSegmenter]
B = TypeVar("B", bound=Builder)

_ORIGINS: dict[Builder, Origin] = {}


@dataclass(frozen=True)
class Origin:
    """Where a network comes from.

    Attributes:
        encoder: the encoder's published name.
        code: licence of the code.
        weights: where weights come from.
        weights_licence: licence of those weights.
        weights_sha256: hash of the file of weights, where its authors tell it or it is ours.
    """

    encoder: str = "not stated"
    code: str = "not stated"
    weights: str = "not stated"
    weights_licence: str = "not stated"
    weights_sha256: str = "not verified"


def origin(**told: str) -> Callable[[B], B]:
    """Tell a builder's ``Origin``, by decorating the builder."""

    def tell(build: B) -> B:
        _ORIGINS[build] = Origin(**told)
        return build

    return tell


def origin_of(build: Builder) -> Origin:
    """What was told of a builder; an ``Origin`` of nothing stated where none was."""
    return _ORIGINS.get(build, Origin())
