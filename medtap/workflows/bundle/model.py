"""What a bundle segments with: a network adapted to the support set that is given, or the bundle's own model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapted import AdaptedSegmenter, attach_recorded
from medtap.adapters import Adapter
from medtap.defaults import NETWORK
from medtap.errors import OptionError, WeightsError
from medtap.inference import input_size
from medtap.networks.segmenter import FewShotSegmenter
from medtap.networks.zoo import load_network, weights_sha256
from medtap.outputs import RunFolder
from medtap.presets import use_preset
from medtap.record import AdaptationRecord
from medtap.support import SupportSet
from medtap.support_shape import ClassShape, support_shape
from medtap.workflows.adapt import gather_support, write_adaptation
from medtap.workflows.segmenting import SegmentOptions

ADAPTER = "adapter"
"""Folder, below the output's, of the adapter that a bundle made."""


@dataclass(frozen=True, eq=False)
class Adaptation:
    """An adaptation that is read and checked, and not made yet.

    Attributes:
        network: the base network.
        support: the support set.
        adapter: what is trained.
        options: how it is trained.
        folders: where the support set was read from.
    """

    network: FewShotSegmenter
    support: SupportSet
    adapter: Adapter
    options: TapOptions
    folders: tuple[Path, ...]

    def identity(self, network_def: AdaptedSegmenter) -> dict[str, Any]:  # noqa: ARG002
        """What decides the outcome, as plain values."""
        return {
            "base_sha256": weights_sha256(self.network),
            "support_sha256": self.support.sha256,
            "adapter": [self.adapter.name, self.adapter.options()],
            "tap": vars(self.options),
        }

    @property
    def shots(self) -> int:
        """Number of support images K."""
        return self.support.shots

    @property
    def shapes(self) -> tuple[ClassShape, ...]:
        """Of labels 1 to N in the support masks."""
        return tuple(support_shape(self.support.masks, self.support.classes).values())

    def adapt(self, device: torch.device | str = "cpu") -> AdaptedSegmenter:
        """Make the adaptation; it comes out the same each time."""
        return take_a_peek(self.network, self.support, self.adapter, self.options, device)

    def fill(self, network_def: AdaptedSegmenter, run: RunFolder, device: torch.device) -> None:
        """Adapt, write the adapter below the run's folder and load the outcome into a network."""
        adapted = self.adapt(device)
        write_adaptation(run, adapted, self.support, ADAPTER)
        network_def.network = adapted.network  # with the adapter in it, where it is none that can be merged
        network_def.load_state_dict(adapted.state_dict())
        network_def.classes, network_def.record = adapted.classes, AdaptationRecord.read(run.path / ADAPTER)

    def adapter_below(self, out: Path) -> Path:
        """Where ``medtap predict`` finds the adapter once `fill` has written it."""
        return out / ADAPTER


@dataclass(frozen=True)
class ShippedModel:
    """A bundle's own model, which a CheckpointLoader loads.

    Attributes:
        file: the bundle's ``models/model.pt``; its manifest lies beside it.
        folders: where a support set was read from: nowhere.
    """

    file: Path
    folders: tuple[Path, ...] = ()

    def identity(self, network_def: AdaptedSegmenter) -> dict[str, Any]:
        """The hash of the model, once it is seen to be the one that is asked for.

        Raises:
            WeightsError: the model or its manifest is missing, or they do not belong together.
            OptionError: another network or other classes are asked for than the model has.
        """
        record = AdaptationRecord.read(self.file.parent)
        self._check_hash(record)
        has, wanted = (record.network, record.classes), (network_def.network.source, network_def.classes)
        if has != wanted:
            raise OptionError(
                "the bundle's own model is of another network or other classes",
                expected=f"{wanted[0]} for {', '.join(wanted[1])}",
                found=f"{has[0]} for {', '.join(has[1])}",
                remedy="give a support set to adapt to (--support_images)",
            )
        return {"adapter_sha256": record.adapter_sha256}

    @property
    def shots(self) -> int:
        """Number of support images K that it was adapted to."""
        return AdaptationRecord.read(self.file.parent).shots

    @property
    def shapes(self) -> tuple[ClassShape, ...]:
        """Of labels 1 to N in the masks that it was adapted to; empty where an older version adapted it."""
        return AdaptationRecord.read(self.file.parent).shapes

    def fill(self, network_def: AdaptedSegmenter, run: RunFolder, device: torch.device) -> None:  # noqa: ARG002
        """Tell the network what is known of the model, and give it the modules of its adapter.

        The weights are the CheckpointLoader's to load.
        """
        record = AdaptationRecord.read(self.file.parent)
        if network_def.record != record:
            attach_recorded(record, network_def.network).merge()
        network_def.record = record

    def adapter_below(self, out: Path) -> Path:  # noqa: ARG002
        """A placeholder: of the model alone there is no adapter that ``medtap predict`` could load."""
        return Path("FOLDER")

    def _check_hash(self, record: AdaptationRecord) -> None:
        if not self.file.is_file() or hashlib.sha256(self.file.read_bytes()).hexdigest() != record.adapter_sha256:
            raise WeightsError(
                "the model is not the one that its manifest describes",
                file=self.file,
                expected=f"a file of SHA-256 {record.adapter_sha256[:12]}...",
                remedy="name the bundle's folder (--bundle_root), or fetch the bundle again",
            )


def class_names(classes: str | Sequence[str]) -> tuple[str, ...]:
    """Names of the labels 1 to N, given as a sequence or in one string with commas between."""
    listed = classes.split(",") if isinstance(classes, str) else classes
    return tuple(str(name).strip() for name in listed)


def adapted_network(
    network: str, classes: Sequence[str], shots: int, segmenting: SegmentOptions | None = None
) -> AdaptedSegmenter:
    """A bundle's ``network_def``, to be filled by ``model.pt`` or by an adaptation.

    Args:
        network: the base network, a name of the zoo or a folder.
        classes: names of labels 1 to N.
        shots: K that ``model.pt`` was adapted with. What is loaded may have another, but `monai.bundle.load` passes
            over tensors of another shape in silence.
        segmenting: how it segments; plainly when None.

    Raises:
        MedtapError: there is no such network.
    """
    adapted = AdaptedSegmenter.blank(load_network(network), tuple(classes), shots)
    (segmenting or SegmentOptions()).set_on(adapted)
    return adapted


def choose_model(
    model_file: str | Path,
    support_images: str | Path | None = None,
    support_masks: str | Path | None = None,
    *,
    network: str = NETWORK,
    method: str | None = None,
    rank: int | None = None,
    preset: str = "medtap",
    passes: int | None = None,
    augment: str | None = None,
    shots: int = 5,
    size: int | None = None,
    seed: int = 0,
    **support: Any,
) -> Adaptation | ShippedModel:
    """Load the base network and draw the support set, if one is given.

    Args:
        model_file: the bundle's ``models/model.pt``.
        support_images: folder, file or CSV of annotated images; None to use the bundle's own model.
        support_masks: folder or file of their masks.
        network: a name of the zoo, or a folder.
        method: the adapter's name; the preset's when None.
        rank: the adapter's rank; the method's own when None.
        preset: named options of the adaptation.
        passes: T, how often every support image is a pseudo-query; the preset's when None.
        augment: what views of the support images are trained on; the preset's when None.
        shots: K.
        size: side in pixels that images are brought to; the network's own when None.
        seed: draws the support set and the adapter's initial values.
        support: ``lacking``, ``layout``, ``axis``, ``mask_threshold`` and ``classes``, as ``gather_support`` takes
            them.

    Raises:
        MedtapError: an option or input is refused.
    """
    if support_images is None:
        return ShippedModel(Path(str(model_file)))
    adapter, options = use_preset(preset, method, {"rank": rank}, passes=passes, augment=augment, seed=seed)
    base = load_network(network)
    images, masks = Path(str(support_images)), None if support_masks is None else Path(str(support_masks))
    drawn = gather_support(images, masks, shots=shots, seed=seed, size=input_size(size, base.size), **support)
    return Adaptation(base, drawn, adapter, options, (images,) if masks is None else (images, masks))
