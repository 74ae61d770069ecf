"""Which changes the benchmark of tricks makes, and on what it measures them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medtap.benchmarks.switches import SWITCHES
from medtap.defaults import NETWORK
from medtap.errors import OptionError
from medtap.options import fill, refuse_unknown_choice
from medtap.tap_options import TapOptions


@dataclass(frozen=True)
class Trick:
    """One change.

    Attributes:
        switch: a name of `SWITCHES`; none where empty.
        tap: options of the passes that differ.
        environment: variables of the process that differ.
        shots: K; the benchmark's where None.
        against: the row that it is compared with; the first where empty.
        scored: whether masks may change, so that they are scored.
    """

    switch: str = ""
    tap: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    shots: int | None = None
    against: str = ""
    scored: bool = False

    def __post_init__(self) -> None:
        fill(TapOptions, self.tap)
        if self.switch:
            refuse_unknown_choice(f"no switch is called {self.switch!r}", self.switch, SWITCHES)


@dataclass(frozen=True)
class TricksOptions:
    """What to measure.

    Attributes:
        tricks: by name; what others are compared with comes first.
        network: a name of the zoo, or a folder.
        size: side of the images in pixels.
        shots: K.
        repeats: measurements, of which the median is told; after one that is not counted.
        episodes: generated episodes that what may change masks is scored on.
        episode_size: side of their images in pixels.
        queries: of each episode.
    """

    tricks: Mapping[str, Trick] = field(default_factory=lambda: {"as it is": Trick(scored=True)})
    network: str = NETWORK
    size: int = 256
    shots: int = 5
    repeats: int = 3
    episodes: int = 12
    episode_size: int = 160
    queries: int = 5

    def __post_init__(self) -> None:
        earlier: list[str] = []
        for name, trick in self.tricks.items():
            if trick.against and trick.against not in earlier:
                raise OptionError(f"{name!r} is compared with no earlier row", found=trick.against)
            earlier.append(name)
        if not earlier or min(self.shots, self.repeats, self.episodes, self.queries) < 1:
            raise OptionError("tricks that cannot be measured", expected="a trick, and numbers of at least 1")

    @classmethod
    def read(cls, options: Mapping[str, Any], config: Path) -> TricksOptions:
        """Options of a configuration, whose tricks are mappings.

        Raises:
            OptionError: an option is unknown, or a value is refused.
        """
        tricks = {name: fill(Trick, of or {}, config) for name, of in options.get("tricks", {}).items()}
        return fill(cls, {**options, "tricks": tricks}, config)
