"""What a benchmark of episodes may be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medtap.benchmarks.gallery import Reading
from medtap.benchmarks.published import published_sets
from medtap.defaults import NETWORK
from medtap.errors import OptionError
from medtap.options import refuse_unknown_choice


@dataclass(frozen=True)
class EpisodeOptions:
    """What to measure, on what.

    Attributes:
        data: folder of the data set.
        methods: name to options, see `medtap.benchmarks.methods`; differences are told to the one called ``vanilla``.
        folder: name of the data set's folder where ``data`` holds several sets; used if there is such a folder.
        layout: a name in `medtap.datasets.LAYOUTS`; None takes one where folder names make it certain.
        classes: names of labels 1 to N; the layout's where None.
        by_group: whether the layout's groups (diagnoses) are the classes of episodes.
        mask_threshold: foreground of grey masks is what lies above it.
        axis: axial, coronal or sagittal planes of volumes.
        support: pattern of the names of files that support is drawn from.
        queries: pattern of the names of files that queries are drawn from.
        network: a name of the zoo, or a folder.
        device: ``auto``, ``cpu`` or ``cuda``.
        size: side in pixels of the network's input; the network's own when None.
        score_size: side of the squares that images are scored on; their own grid alone when None. Volumes are always
            scored on their own grid.
        shots: K images, or K volumes where ``planes`` is more than 1.
        planes: support planes of each volume.
        lacking_shots: planes of the support's volumes without foreground, for methods that learn from them.
        episodes: number of queries.
        queries_per_support: episodes that share one support set.
        published: name of the data set in ``published.yaml``, if it is there.
        note: what readers of the table should know of the data.
    """

    data: str = ""
    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    folder: str = ""
    layout: str | None = None
    classes: Sequence[str] | None = None
    by_group: bool = False
    mask_threshold: float | None = None
    axis: str = "axial"
    support: str = "*"
    queries: str = "*"
    network: str = NETWORK
    device: str = "auto"
    size: int | None = None
    score_size: int | None = 400
    shots: int = 5
    planes: int = 1
    lacking_shots: int = 0
    episodes: int = 150
    queries_per_support: int = 10
    published: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if not self.methods:
            raise OptionError("a benchmark without methods", expected="methods: {name: {...}}")
        if self.episodes < 1 or (self.score_size or 1) < 1:
            raise OptionError("episodes and score_size are at least 1", found=f"{self.episodes}, {self.score_size}")
        if self.lacking_shots < 0:
            raise OptionError("lacking_shots cannot be", expected="0 or more", found=str(self.lacking_shots))
        if self.published:
            refuse_unknown_choice("no figures are published of this set", self.published, published_sets())

    @property
    def reading(self) -> Reading:
        """How the data set is read.

        Raises:
            OptionError: no data.
        """
        if not self.data:
            raise OptionError("a benchmark on episodes of no data", remedy="name their folder with --data")
        inside = Path(self.data, self.folder)
        classes = tuple(self.classes) if self.classes is not None else None
        root = inside if inside.is_dir() else Path(self.data)
        return Reading(root, self.layout, classes, self.by_group, self.mask_threshold, self.axis, self.score_size)
