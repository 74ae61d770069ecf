"""What the benchmark of cost measures: networks, sizes, shots and passes, crossed or one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from medtap.defaults import NETWORK
from medtap.errors import OptionError
from medtap.inference import SMALLEST
from medtap.options import fill

DESIGNS = ("crossed", "one_at_a_time")


@dataclass(frozen=True)
class BuiltNetwork:
    """A network with random weights, which cost what trained ones do.

    Attributes:
        network: its name in the zoo.
        build: what its builder takes.
    """

    network: str
    build: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """One line of the results.

    Attributes:
        network: its name in ``networks``.
        size: side of the images in pixels.
        shots: K.
        passes: T.
    """

    network: str
    size: int
    shots: int
    passes: int


@dataclass(frozen=True)
class CostOptions:
    """What to measure.

    Attributes:
        networks: names of the zoo, folders, or names of ``built``.
        sizes: sides of the images in pixels.
        shots: values of K.
        passes: T.
        more_passes: other values of T, at the first of all other lists.
        design: ``crossed`` measures every network at every size and K; ``one_at_a_time`` changes one of the three while
            the others are the first of their lists.
        built: networks of random weights by the names that they have here.
        queries: queries a support set, by which the total of the reference is reckoned.
        repeats: measurements, of which median and interquartile range are told; after one that is not counted.
    """

    networks: tuple[str, ...] = (NETWORK,)
    sizes: tuple[int, ...] = (256,)
    shots: tuple[int, ...] = (5, 1)
    passes: int = 8
    more_passes: tuple[int, ...] = ()
    design: str = "crossed"
    built: Mapping[str, BuiltNetwork] = field(default_factory=dict)
    queries: int = 20
    repeats: int = 3

    def __post_init__(self) -> None:
        wrong = [
            text
            for text, right in (
                ("at least one network, size and K", all((self.networks, self.sizes, self.shots))),
                (f"sizes of at least {SMALLEST}", all(size >= SMALLEST for size in self.sizes)),
                ("shots of at least 1", all(shots >= 1 for shots in self.shots)),
                ("passes of at least 1", all(passes >= 1 for passes in (self.passes, *self.more_passes))),
                (f"a design of {' or '.join(DESIGNS)}, not {self.design!r}", self.design in DESIGNS),
                ("queries and repeats of at least 1", min(self.queries, self.repeats) >= 1),
            )
            if not right
        ]
        if wrong:
            raise OptionError("a cost that cannot be measured", expected="; ".join(wrong))

    @classmethod
    def read(cls, options: Mapping[str, Any], config: Path) -> CostOptions:
        """Options of a configuration, where ``shots`` and, instead of ``networks``, ``network`` may be a single one.

        Raises:
            OptionError: an option is unknown, or a value is refused.
        """
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in options.items()
        }
        if isinstance(values.get("shots"), int):
            values["shots"] = (values["shots"],)
        if "network" in values:
            values["networks"] = (str(values.pop("network")),)
        built = {name: fill(BuiltNetwork, of, config) for name, of in values.get("built", {}).items()}
        return fill(cls, {**values, "built": built}, config)

    @property
    def settings(self) -> dict[str, Setting]:
        """Settings by ``"<network>-<size>-k<K>"``, those of other passes with ``-t<T>`` behind."""
        base = Setting(self.networks[0], self.sizes[0], self.shots[0], self.passes)
        found = {_name(setting): setting for setting in self._of_design(base)}
        return found | {f"{_name(base)}-t{passes}": replace(base, passes=passes) for passes in self.more_passes}

    def _of_design(self, base: Setting) -> Iterator[Setting]:
        if self.design == "crossed":
            yield from (Setting(*chosen, self.passes) for chosen in product(self.networks, self.sizes, self.shots))
            return
        yield from (replace(base, shots=shots) for shots in self.shots)
        yield from (replace(base, size=size) for size in self.sizes)
        yield from (replace(base, network=network) for network in self.networks)


def _name(setting: Setting) -> str:
    return f"{Path(setting.network).name}-{setting.size}-k{setting.shots}"
