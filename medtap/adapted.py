"""AdaptedSegmenter: a network adapted to a support set, one image in, logits out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from medtap.adapters import AttachedAdapter, build_adapter
from medtap.ensembles import mean_prediction, support_subsets
from medtap.errors import OptionError, WeightsError
from medtap.half_precision import compact
from medtap.networks.classes import recall_by_itself, recall_classes, remember_classes
from medtap.networks.segmenter import Features, FewShotSegmenter, Memory, share_weights
from medtap.networks.zoo import load_network, read_tensors, weights_sha256
from medtap.outputs import atomic_write, write_json
from medtap.presence import Presence, evidence, tells_anything, without_absent
from medtap.record import MANIFEST, AdaptationRecord

TENSORS, DIGEST = "adapter.safetensors", "support.safetensors"
FILES = (TENSORS, DIGEST, MANIFEST)
"""What an adapted network is saved as."""
_ADAPTER, _MEMORY, _PRESENCE = "adapter.", "memory.", "presence"


class AdaptedSegmenter(nn.Module):
    """A network with a merged adapter and a digested support set: any MONAI ``network_def``.

    Args:
        network: with the adapter merged.
        memory: the support set's, each [N,K,...]; kept as buffers that take their K from what is loaded.
        classes: names of labels 1 to N.
        adapter: the adapter's values, for ``save``.
        record: what is known of the adaptation, for ``save``.
        presence: how to tell that a picture shows each class; every picture is taken to when None.

    Attributes:
        adapter: the adapter's values by name, which are all that was trained; empty where none were given.
        subsets: how many subsets of the support set a query is segmented by beside the whole set, their predictions
            averaged; see ``support_subsets``. It is no part of what is saved.
        self_support: whether a query is then segmented once more with its own prediction as one more shot; see
            ``recall_by_itself``. Nor is it saved.
        check_presence: whether a class is left out of an image that does not show it, as ``presence`` tells. Nor is it
            saved.
    """

    def __init__(
        self,
        network: FewShotSegmenter,
        memory: Memory,
        classes: tuple[str, ...],
        adapter: Mapping[str, Tensor] | None = None,
        record: AdaptationRecord | None = None,
        presence: Sequence[Presence] | None = None,
    ) -> None:
        super().__init__()
        self.network, self.classes, self.record = network, tuple(classes), record
        self.subsets, self.self_support, self.check_presence = 0, False, True
        self.adapter = dict(adapter or {})
        self._kept = len(memory)
        for index, kept in enumerate(memory):
            self.register_buffer(f"memory_{index}", kept)
        self._presence = tuple(presence or [Presence()] * len(self.classes))
        # The same for a state dict; forward goes by the numbers, for reading them from a GPU would wait for it.
        self.register_buffer("presence_values", memory[0].new_tensor(self._presence))
        self.eval()

    @classmethod
    def blank(cls, network: FewShotSegmenter, classes: tuple[str, ...], shots: int = 1) -> AdaptedSegmenter:
        """One of a network without a support set, for ``load_state_dict`` to fill.

        Args:
            network: the base network.
            classes: names of labels 1 to N.
            shots: K of the empty memory; what is loaded may have another.
        """
        own = share_weights(network).eval().requires_grad_(False)
        nothing = next(own.parameters()).new_zeros(1, 3, own.size, own.size)
        with torch.no_grad():
            memory = remember_classes(own, own.encode(nothing), nothing[:, 0], len(classes))
        return cls(own, tuple(kept.repeat_interleave(shots, dim=1) for kept in memory), tuple(classes))

    @property
    def memory(self) -> Memory:
        """The digested support set, each [N,K,...]."""
        return tuple(self.get_buffer(f"memory_{index}") for index in range(self._kept))

    @property
    def size(self) -> int:
        """Side in pixels of the images it was adapted on."""
        return self.record.size if self.record else self.network.size

    def forward(self, image: Tensor) -> Tensor:
        """Segment images [B,3,H,W] in [0,1], of any size: logits [B,N+1,H,W], background first.

        With subsets, as ``mean_prediction``, each image encoded once all the same, by itself too. Whether an image
        shows a class is told by the whole set's first look.

        Raises:
            OptionError: the support set does not have so many subsets, or an image that is to support itself is of
                another size than the support images.
        """
        size = image.shape[-2:]
        if self.self_support:
            self._refuse_another(size)
        query = self.network.encode(image)
        logits = recall_classes(self.network, query, self.memory, size)
        seen = evidence(logits, [each.area for each in self.presence]) if self.looks_for_absence else None
        if self.subsets:
            logits = mean_prediction(torch.cat([logits.unsqueeze(0), self._by_subsets(query, size)]))
        if self.self_support:
            logits = recall_by_itself(self.network, query, self.memory, logits)
        return logits if seen is None else without_absent(logits, seen, self.presence)

    @property
    def presence(self) -> tuple[Presence, ...]:
        """How to tell that a picture shows each class."""
        return self._presence

    @property
    def looks_for_absence(self) -> bool:
        """Whether there is a class that may be left out of an image."""
        return self.check_presence and tells_anything(self.presence)

    def _refuse_another(self, size: torch.Size) -> None:
        if size != (self.size, self.size):
            raise OptionError(
                "an image supports itself at the support set's size alone",
                expected=f"{self.size} x {self.size} px",
                found=f"{size[0]} x {size[1]}",
            )

    def _by_subsets(self, query: Features, size: torch.Size) -> Tensor:
        """Decode query features [B,C,h,w] by each of S subsets in one batch: logits [S,B,N+1,H,W]."""
        chosen = support_subsets(self.memory[0].shape[1], self.subsets).to(query[0].device)
        repeated = tuple(level.repeat(self.subsets, 1, 1, 1) for level in query)
        shots = chosen.repeat_interleave(query[0].shape[0], dim=0)
        return recall_classes(self.network, repeated, self.memory, size, shots).unflatten(0, (self.subsets, -1))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        self.network._apply(torch.clone)  # loading writes in place, and the base network shares these tensors
        for index, kept in enumerate(self.memory):
            loaded = state_dict.get(f"{prefix}memory_{index}")
            if loaded is not None and loaded.ndim == kept.ndim and len(loaded) == len(self.classes):
                setattr(self, f"memory_{index}", kept.new_empty(loaded.shape))
        older = torch.zeros_like(self.get_buffer("presence_values"))  # what was written before there was such a thing
        state_dict.setdefault(prefix + "presence_values", older)
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._presence = _presence_of(self.get_buffer("presence_values"))

    def save(self, folder: str | Path) -> Path:
        """Write ``adapter.safetensors``, ``support.safetensors`` (the digested support set, no images) and a manifest.

        Values that float16 holds without loss, as it does an adapter that ``take_a_peek`` made, are written in it.

        Args:
            folder: is made if need be.

        Returns:
            The folder.

        Raises:
            WeightsError: the network was not made by ``take_a_peek``, so there is nothing to tell of it.
            OutputError: the folder cannot be written to.
        """
        if self.record is None:
            raise WeightsError("a network without a record cannot be saved as an adapter", remedy="use state_dict()")
        folder = Path(folder)
        adapter = {_ADAPTER + name: value for name, value in self.adapter.items()}
        digest = {f"{_MEMORY}{index}": kept for index, kept in enumerate(self.memory)}
        digest |= {_PRESENCE: self.get_buffer("presence_values")} if tells_anything(self.presence) else {}
        for name, tensors in ((TENSORS, adapter), (DIGEST, digest)):
            content = save({key: compact(value.detach().cpu()).contiguous() for key, value in tensors.items()})
            with atomic_write(folder / name) as partial:
                partial.write_bytes(content)
        record = replace(self.record, adapter_sha256=saved_sha256(folder))
        write_json(folder / MANIFEST, record.as_json())
        return folder


def load_adapted(folder: str | Path, network: FewShotSegmenter | None = None) -> AdaptedSegmenter:
    """Load what ``AdaptedSegmenter.save`` wrote.

    Args:
        folder: holds ``adapter.safetensors``, ``support.safetensors`` and ``manifest.json``.
        network: the base network; by default the one that the manifest names is loaded.

    Raises:
        WeightsError: a file is missing or damaged, or the adapter belongs to other base weights.
    """
    folder = Path(folder)
    record = AdaptationRecord.read(folder)
    adapter, kept = (_read(folder / name) for name in (TENSORS, DIGEST))
    _check_hash(folder, record)
    network = network or load_network(record.network)
    _check_base(network, record, folder)
    shared = share_weights(network).eval().requires_grad_(False)
    values = {name.removeprefix(_ADAPTER): value for name, value in adapter.items()}
    method = build_adapter(record.method, record.adapter)
    method.fold(method.part(shared), values)
    presence = _presence_of(kept.pop(_PRESENCE)) if _PRESENCE in kept else None
    memory = tuple(kept[f"{_MEMORY}{index}"] for index in range(len(kept)))
    return AdaptedSegmenter(shared, memory, record.classes, values, record, presence)


def _presence_of(values: Tensor) -> tuple[Presence, ...]:
    return tuple(Presence(area, least) for area, least in values.tolist())


def attach_recorded(record: AdaptationRecord, network: FewShotSegmenter) -> AttachedAdapter:
    """Attach the adapter that a record tells of, with initial values, in place to a network.

    Raises:
        OptionError: the adapter does not fit the network.
    """
    adapter = build_adapter(record.method, record.adapter)
    return adapter.attach(adapter.part(network))


def saved_sha256(folder: Path) -> str:
    """The hash of a saved adapter: over its bytes, then those of the digested support set."""
    return hashlib.sha256((folder / TENSORS).read_bytes() + (folder / DIGEST).read_bytes()).hexdigest()


def _read(path: Path) -> dict[str, Tensor]:
    """Copies, for views of a file's bytes are not aligned as new tensors are: sums over them may differ in a bit."""
    return {name: value.to(torch.float32, copy=True) for name, value in read_tensors(path).items()}


def _check_hash(folder: Path, record: AdaptationRecord) -> None:
    if saved_sha256(folder) != record.adapter_sha256:
        raise WeightsError(
            "the adapter is not the one that its manifest describes",
            file=folder,
            expected=f"{TENSORS} and {DIGEST} of SHA-256 {record.adapter_sha256[:12]}...",
            remedy="adapt again, or copy the whole folder again",
        )


def _check_base(network: FewShotSegmenter, record: AdaptationRecord, folder: Path) -> None:
    found = weights_sha256(network)
    if found != record.base_sha256:
        raise WeightsError(
            "the adapter belongs to other base weights",
            file=folder,
            expected=f"{record.network} with weights of SHA-256 {record.base_sha256[:12]}...",
            found=f"{network.name} with {found[:12]}...",
            remedy="load the network that it was adapted from, or adapt again",
        )
