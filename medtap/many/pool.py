"""A pool of adapted networks on one base network: any of them segments the next picture, none is loaded anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from medtap.adapted import AdaptedSegmenter, load_adapted
from medtap.adapters import Lora
from medtap.adapters.stacked_lora import Factors, factors_by_layer, low_rank_change, stack_factors
from medtap.data.resize import resize_images
from medtap.errors import OptionError, WeightsError
from medtap.half_precision import compact
from medtap.many.resident import Resident
from medtap.networks.classes import recall_classes
from medtap.networks.segmenter import FewShotSegmenter, Memory, resize_logits, share_weights
from medtap.networks.zoo import weights_sha256
from medtap.precision import autocast
from medtap.record import AdaptationRecord

Request = tuple[str, Tensor]
"""The name of a resident adapter, and an image [C,H,W] in [0,1] of any size, C one or three."""


class AdapterPool:
    """Serves a mixed queue of (adapter, image) by one base network.

    LoRA is left unmerged: an adapter is chosen by handing its factors to the layers, and pictures of one batch may each
    have another. Logits are those of the adapted networks, to rounding.

    Args:
        network: the base network; its weights are shared, not copied.
        device: where.
        batch_size: pictures segmented at once at most.
        precision: a name in `medtap.precision.PRECISIONS`; ``auto`` is bfloat16 on GPUs that have it.
    """

    def __init__(
        self,
        network: FewShotSegmenter,
        device: torch.device | str = "cpu",
        batch_size: int = 8,
        precision: str = "auto",
    ) -> None:
        if batch_size < 1:
            raise OptionError("pictures cannot be segmented fewer than one at once", found=str(batch_size))
        self.network = share_weights(network).to(device).eval().requires_grad_(False)
        self.device, self.batch_size, self.precision = torch.device(device), batch_size, precision
        self.residents: dict[str, Resident] = {}
        self._base_sha256 = weights_sha256(network)

    def add(self, name: str, adapted: AdaptedSegmenter | str | Path) -> None:
        """Take in an adapted network under a name.

        Args:
            name: which ``predict`` calls it by; one of that name is replaced.
            adapted: of the pool's base network, by LoRA; or the folder that ``AdaptedSegmenter.save`` wrote.

        Raises:
            OptionError: it was adapted by another method, which cannot be left unmerged, or segments by subsets or by
                itself, which a pool does not.
            WeightsError: it belongs to other base weights, or the folder cannot be read.
        """
        if not isinstance(adapted, AdaptedSegmenter):
            adapted = load_adapted(adapted, self.network)
        if adapted.subsets or adapted.self_support:
            raise OptionError(f"a pool segments {name!r} neither by subsets nor by itself", remedy="turn both off")
        lora = self._lora_of(name, adapted.record)
        factors = factors_by_layer(adapted.adapter)
        self.residents[name] = Resident(
            {layer: (self._kept(down), self._kept(lora.scale * up)) for layer, (down, up) in factors.items()},
            tuple(self._kept(kept) for kept in adapted.memory),
            adapted.size,
            adapted.presence if adapted.looks_for_absence else (),
        )

    @property
    def nbytes(self) -> int:
        """Bytes of the residents' tensors, the base network's left out."""
        return sum(resident.nbytes for resident in self.residents.values())

    def predict(self, queue: Iterable[Request]) -> Iterator[Tensor]:
        """Segment a queue, which may be endless, in its order.

        Each image is brought to its adapter's size and the logits back to the image's grid, as by `PlaneInferer`.

        Args:
            queue: names and images, read a batch ahead.

        Yields:
            Logits [N+1,H,W] in float32 for each image.

        Raises:
            OptionError: no resident has a name, or an image is of another shape.
        """
        requests = iter(queue)
        while batch := list(islice(requests, self.batch_size)):
            yield from self._segment(batch)

    def _segment(self, batch: Sequence[Request]) -> list[Tensor]:
        """Logits of some requests, those whose residents can share a forward together."""
        groups: dict[object, list[int]] = {}
        for number, (name, _) in enumerate(batch):
            groups.setdefault(self._resident(name).layout, []).append(number)
        logits: dict[int, Tensor] = {}
        for numbers in groups.values():
            logits |= zip(numbers, self._forward([batch[number] for number in numbers]), strict=True)
        return [logits[number] for number in range(len(batch))]

    @torch.no_grad()
    def _forward(self, requests: Sequence[Request]) -> list[Tensor]:
        chosen = {name: self._resident(name) for name, _ in requests}
        residents = list(chosen.values()) if len(chosen) == 1 else [chosen[name] for name, _ in requests]
        size = residents[0].size
        images = torch.cat([self._seen(image, size) for _, image in requests])
        with autocast(self.precision, self.device, on_cpu=False), self.switched(residents) as memory:
            query, shots = self.network.encode(images), memory[0].shape[1]
            index = torch.arange(shots, device=self.device).view(len(residents), -1).expand(len(requests), -1)
            logits = recall_classes(self.network, query, memory, images.shape[-2:], index)
        pairs = zip(logits.float(), requests, strict=True)
        return [resize_logits(chosen[name].shown(own)[None], image.shape[-2:])[0] for own, (name, image) in pairs]

    def _seen(self, image: Tensor, size: int) -> Tensor:
        """An image [C,H,W] as the network sees it, [1,3,S,S]."""
        if image.ndim != 3 or len(image) not in (1, 3):
            expected = "[C,H,W], C one or three"
            raise OptionError(
                "an image of this shape cannot be segmented", expected=expected, found=f"{[*image.shape]}"
            )
        planes = image.as_subclass(Tensor)[None].to(self.device).float()
        return resize_images(planes, size).expand(-1, 3, -1, -1)

    @contextmanager
    def switched(self, residents: Sequence[Resident]) -> Iterator[Memory]:
        """Within, the base network's encoder computes as each resident's does for its own pictures.

        Args:
            residents: A of them, of one layout; the encoder is then given A * P pictures, set by set.

        Yields:
            Their memories side by side, each [N,A*K,...].
        """
        stacked = stack_factors([resident.factors for resident in residents])
        with ExitStack() as hooks:
            for layer, (down, up) in stacked.items():
                change = partial(_changed, (down.float(), up.float()))
                hooks.callback(self.network.encoder.get_submodule(layer).register_forward_hook(change).remove)
            memories = zip(*(resident.memory for resident in residents), strict=True)
            yield tuple(torch.cat(kept, dim=1).float() for kept in memories)

    def _resident(self, name: str) -> Resident:
        if name not in self.residents:
            known = ", ".join(sorted(self.residents)) or "none yet"
            raise OptionError(f"no adapter of the pool is called {name!r}", expected=f"one of {known}")
        return self.residents[name]

    def _lora_of(self, name: str, record: AdaptationRecord | None) -> Lora:
        if record is None or record.method != Lora.name:
            raise OptionError(
                f"{name!r} cannot be served from a pool",
                expected=f"a network adapted by {Lora.name}",
                found="one without a record" if record is None else record.method,
                remedy="segment with the adapted network itself",
            )
        if record.base_sha256 != self._base_sha256:
            raise WeightsError(
                f"{name!r} belongs to other base weights",
                expected=f"{self.network.name} with weights of SHA-256 {self._base_sha256[:12]}...",
                found=f"{record.network} with {record.base_sha256[:12]}...",
                remedy="make a pool of the network that it was adapted from",
            )
        return Lora(**record.adapter)

    def _kept(self, values: Tensor) -> Tensor:
        return compact(values.detach().to(self.device)).clone()


def _changed(factors: Factors, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return output + low_rank_change(layer, inputs[0], factors)
