"""What is known of an adaptation: its network, method, options, support set and course. Saved as ``manifest.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from medtap._version import __version__
from medtap.adapters import Adapter
from medtap.errors import OptionError, WeightsError
from medtap.networks.segmenter import FewShotSegmenter
from medtap.networks.zoo import weights_sha256
from medtap.options import fill
from medtap.support import SupportSet
from medtap.support_shape import ClassShape, support_shape
from medtap.tap_options import TapOptions

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class AdaptationRecord:
    """The record of one adaptation.

    Attributes:
        network: name of the base network in the zoo, or its folder.
        base_sha256: of the base network's weights.
        method: the adapter's name.
        adapter: the adapter's options.
        tap: the loop's options.
        classes: names of labels 1 to N.
        shots: K.
        size: side in pixels of the network's input.
        axis: the axis along which volumes are cut into planes.
        support_sha256: of the support set.
        support: name, plane and hash of the file of each support image.
        losses: the support loss before each optimizer step, of those on halves of the support set their mean.
        passes: how many passes ran: fewer than asked for where the loss no longer fell; None where an older version
            adapted.
        check: what the guard saw: the Dice loss of held-out support images ``unadapted`` and ``adapted``, and the
            ``strength`` of what was learnt of halves, 1 where it was left as trained. Of a single image, that alone: 0.
        warnings: what was odd about the support set.
        support_shape: by class, the shape it has in the support masks; empty where an older version adapted.
        lacking: the same as ``support`` of each picture without a class that was learnt from.
        adapter_sha256: of the saved adapter and digested support set; empty until saved.
        cost: seconds of the adaptation and whatever else may differ between equal runs.
        medtap: the version that wrote it.
    """

    network: str
    base_sha256: str
    method: str
    adapter: Mapping[str, Any]
    tap: Mapping[str, Any]
    classes: tuple[str, ...]
    shots: int
    size: int
    axis: str
    support_sha256: str
    support: tuple[Mapping[str, Any], ...]
    losses: tuple[float, ...]
    passes: int | None = None
    check: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    support_shape: Mapping[str, ClassShape] = field(default_factory=dict)
    lacking: tuple[Mapping[str, Any], ...] = ()
    adapter_sha256: str = ""
    cost: Mapping[str, float] = field(default_factory=dict)
    medtap: str = __version__

    @classmethod
    def of(
        cls,
        network: FewShotSegmenter,
        support: SupportSet,
        adapter: Adapter,
        options: TapOptions,
        losses: list[float],
        seconds: float,
    ) -> AdaptationRecord:
        """The record of an adaptation that has just been made."""
        return cls(
            network=network.source or network.name,
            base_sha256=weights_sha256(network),
            method=adapter.name,
            adapter=adapter.options(),
            tap=asdict(options),
            classes=support.classes,
            shots=support.shots,
            size=support.images.shape[-1],
            axis=support.axis,
            support_sha256=support.sha256,
            support=tuple(asdict(source) for source in support.sources),
            lacking=tuple(asdict(source) for source in support.lacking_sources),
            losses=tuple(round(loss, 6) for loss in losses),
            passes=len(losses) // options.steps_a_pass(support.shots, support.shots + len(support.lacking)),
            warnings=support.warnings,
            support_shape=support_shape(support.masks, support.classes),
            cost={"adapt_seconds": round(seconds, 3)},
        )

    @classmethod
    def read(cls, folder: Path) -> AdaptationRecord:
        """Read the manifest of a saved adaptation.

        Raises:
            WeightsError: the folder holds no manifest, or one that is damaged or of another kind.
        """
        path = folder / MANIFEST
        try:
            values = json.loads(path.read_text())
            values |= {key: tuple(values[key]) for key in ("classes", "support", "losses", "warnings")}
            values["lacking"] = tuple(values.get("lacking", ()))
            shapes = values.get("support_shape", {})
            values["support_shape"] = {name: fill(ClassShape, shape) for name, shape in shapes.items()}
            return fill(cls, values)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OptionError) as error:
            raise WeightsError(
                "no adaptation can be read here",
                file=path,
                expected="the manifest.json that `medtap adapt` writes",
                found="no file" if not path.exists() else "a damaged or foreign one",
                remedy="name the folder that `medtap adapt --out` wrote",
            ) from error

    @property
    def shapes(self) -> tuple[ClassShape, ...]:
        """Of labels 1 to N in the support masks; empty where an older version adapted."""
        return tuple(self.support_shape[name] for name in self.classes) if self.support_shape else ()

    def as_json(self) -> dict[str, Any]:
        """Plain values for ``manifest.json``."""
        return asdict(self)
