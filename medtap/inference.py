"""Inference on images of any size and on volumes plane by plane, in batches, on the CPU or a GPU."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor

from medtap.data.resize import resize_images
from medtap.ensembles import FLIPS, segment_flipped
from medtap.errors import AdaptationError, OptionError
from medtap.gpu_memory import batch_that_fits
from medtap.networks.segmenter import resize_logits
from medtap.options import refuse_unknown_choice
from medtap.precision import PRECISIONS, autocast
from medtap.transfer import uploaded

SMALLEST = 32
"""Side in pixels of the smallest input that has a map of stride 32."""


def choose_device(name: str | torch.device = "auto") -> torch.device:
    """The device to compute on.

    Args:
        name: ``auto`` (a GPU when there is one), ``cpu`` or ``cuda``, these two with an index if wanted; or a device.

    Raises:
        OptionError: the name is unknown, or CUDA is asked for and absent.
    """
    name, present = str(name), torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if present else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or not (index.isdecimal() or name == kind):
        raise OptionError(f"no device is called {name!r}", expected="auto, cpu or cuda, or one with an index: cuda:1")
    if kind == "cuda" and not present:
        raise OptionError("CUDA was asked for and is absent", remedy="use --device auto or --device cpu")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise OptionError(f"there is no device {name!r}", expected=f"one of {torch.cuda.device_count()}, from cuda:0")
    return torch.device(name)


def input_size(asked: int | None, own: int) -> int:
    """Side in pixels of a network's input: what is asked for, or its own.

    Raises:
        OptionError: what is asked for is too small.
    """
    if asked is not None and asked < SMALLEST:
        raise OptionError("the input is too small to be segmented", expected=f"{SMALLEST} px or more", found=f"{asked}")
    return asked or own


class PlaneInferer(Inferer):
    """Segments every plane of an image or volume at the network's size and brings the logits back to the plane's own.

    Args:
        size: side in pixels of the network's input; planes are stretched to this square.
        batch_size: planes at once; when None, 8 on the CPU, and on a GPU as many as its free memory holds. Halved for
            good, with a warning, when the GPU's memory does not hold them.
        precision: ``float32``, ``bfloat16``, or ``auto``: bfloat16 on GPUs that have it, float32 on CPUs.
        flips: a name in `FLIPS`: ``horizontal`` averages a plane's prediction with that of its mirror image, at twice
            the time; ``both`` with those of its three mirror images, at four times.
    """

    def __init__(self, size: int, batch_size: int | None = None, precision: str = "auto", flips: str = "none") -> None:
        super().__init__()
        refuse_unknown_choice("unknown flips", flips, FLIPS)
        refuse_unknown_choice(f"no precision is called {precision!r}", precision, PRECISIONS)
        if size < 1 or (batch_size is not None and batch_size < 1):
            raise OptionError("size and batch size are at least 1", found=f"{size} and {batch_size}")
        self.size, self.precision, self.flips = size, precision, flips
        self.batch_size, self._chosen = batch_size or 1, batch_size is not None

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Segment images [B,C,H,W] or volumes [B,C,H,W,D] of planes along the last axis, C one or three.

        Returns:
            Logits [B,N+1,H,W] in float32, or [B,N+1,H,W,D] in float16 to spare memory.

        Raises:
            AdaptationError: the GPU's memory does not hold a single plane.
            OptionError: the input has another shape.
        """
        if inputs.ndim not in (4, 5) or inputs.shape[1] not in (1, 3):
            raise OptionError(
                "an input of this shape cannot be segmented",
                expected="[B,C,H,W] or [B,C,H,W,D], C one or three",
                found=str(list(inputs.shape)),
            )
        inputs = inputs.as_subclass(Tensor)  # MetaTensors pay for their meta data at every cut

        def segment(images: Tensor) -> Tensor:
            return network(images, *args, **kwargs)

        if inputs.ndim == 4:
            self._choose_batch_size(inputs, segment)
            return self._planes(inputs, segment).float()
        volumes = [self._volume(volume, segment) for volume in inputs]
        return torch.stack(volumes) if len(volumes) > 1 else volumes[0].unsqueeze(0)

    def stream(
        self, images: Iterable[Tensor], network: Callable[[Tensor], Tensor], device: torch.device
    ) -> Iterator[Tensor]:
        """Segment images of any sizes as they come, as many at once as volumes' planes are.

        They are resized on the device, and to a GPU the next ones travel while it computes.

        Args:
            images: each [C,H,W], C one or three.
            network: from images [B,3,S,S] in [0,1] to logits [B,N+1,S,S].
            device: that the network is on.

        Yields:
            Logits [N+1,H,W] in float32 for each image, on the device.

        Raises:
            AdaptationError: the GPU's memory does not hold a single image.
        """
        self._choose_batch_size(torch.zeros(1, 3, self.size, self.size, device=device), network)
        for batch in uploaded(_batches(images, self.batch_size), device):
            seen = torch.cat([self._seen(image.unsqueeze(0)) for image in batch])
            for logits, image in zip(self._planes(seen, network), batch, strict=True):
                yield resize_logits(logits.unsqueeze(0), image.shape[-2:])[0].float()

    def _volume(self, volume: Tensor, network: Callable[[Tensor], Tensor]) -> Tensor:
        """One volume [C,H,W,D] into logits [N+1,H,W,D], without a second copy of either."""
        logits: Tensor | None = None
        self._choose_batch_size(volume[..., :1].movedim(-1, 0), network)
        at_once = self.batch_size
        for start in range(0, volume.shape[-1], at_once):
            part = slice(start, start + at_once)
            found = self._planes(volume[..., part].movedim(-1, 0), network).movedim(0, -1)
            if logits is None:
                logits = found.new_empty((*found.shape[:-1], volume.shape[-1]), dtype=torch.float16)
            logits[..., part] = found
        if logits is None:
            raise OptionError("a volume without planes cannot be segmented")
        return logits

    def _choose_batch_size(self, planes: Tensor, network: Callable[[Tensor], Tensor]) -> None:
        """Where it was left open, by what the first plane takes."""
        if not self._chosen and len(planes):
            self._chosen = True
            self.batch_size = batch_that_fits(planes.device, lambda: self._planes(planes[:1], network))

    def _planes(self, planes: Tensor, network: Callable[[Tensor], Tensor]) -> Tensor:
        """Planes [P,C,H,W] into logits [P,N+1,H,W], in batches that fit into memory."""
        while True:
            try:
                with torch.no_grad(), autocast(self.precision, planes.device, on_cpu=False):
                    return torch.cat([self._batch(part, network) for part in planes.split(self.batch_size)])
            except torch.OutOfMemoryError as error:
                if self.batch_size == 1:
                    raise AdaptationError(
                        "the GPU's memory does not hold one image", remedy="use --device cpu or a smaller size"
                    ) from error
                self.batch_size //= 2
                warnings.warn(f"out of GPU memory: segmenting {self.batch_size} planes at once", stacklevel=2)
            torch.cuda.empty_cache()

    def _batch(self, planes: Tensor, network: Callable[[Tensor], Tensor]) -> Tensor:
        logits = segment_flipped(network, self._seen(planes), self.flips)
        return resize_logits(logits, planes.shape[-2:])

    def _seen(self, planes: Tensor) -> Tensor:
        """Planes [P,C,H,W] as the network sees them, [P,3,S,S]."""
        return resize_images(planes.float(), self.size).expand(-1, 3, -1, -1)


def _batches(images: Iterable[Tensor], count: int) -> Iterator[list[Tensor]]:
    """Images in lists of so many, without what MetaTensors carry."""
    coming = (image.as_subclass(Tensor) for image in images)
    while batch := list(islice(coming, count)):
        yield batch
