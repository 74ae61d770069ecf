"""Inference on images of any size and on volumes plane by plane, in batches, on the CPU or a GPU."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor

from medtap.data.resize import resize_images
from medtap.errors import AdaptationError, OptionError
from medtap.networks.segmenter import resize_logits

PRECISIONS = ("auto", "float32", "bfloat16")


def choose_device(name: str = "auto") -> torch.device:
    """The device to compute on.

    Args:
        name: ``auto`` (a GPU when there is one), ``cpu`` or ``cuda``, the last two with an index if wanted.

    Raises:
        OptionError: the name is unknown, or CUDA is asked for and absent.
    """
    present = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if present else "cpu")
    if name.partition(":")[0] not in ("cpu", "cuda"):
        raise OptionError(f"no device is called {name!r}", expected="auto, cpu or cuda")
    if name.startswith("cuda") and not present:
        raise OptionError("CUDA was asked for and is absent", remedy="use --device auto or --device cpu")
    return torch.device(name)


class PlaneInferer(Inferer):
    """Segments every plane of an image or volume at the network's size and brings the logits back to the plane's own.

    Args:
        size: side in pixels of the network's input; planes are stretched to this square.
        batch_size: planes at once; halved, with a warning, when the GPU's memory does not hold them.
        precision: ``float32``, ``bfloat16``, or ``auto``: bfloat16 on GPUs that have it, float32 on CPUs.
    """

    def __init__(self, size: int, batch_size: int = 8, precision: str = "auto") -> None:
        super().__init__()
        if precision not in PRECISIONS:
            raise OptionError(f"no precision is called {precision!r}", expected=f"one of {', '.join(PRECISIONS)}")
        if size < 1 or batch_size < 1:
            raise OptionError("size and batch size are at least 1", found=f"{size} and {batch_size}")
        self.size, self.batch_size, self.precision = size, batch_size, precision

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Segment images [B,C,H,W] or volumes [B,C,H,W,D] of planes along the last axis, C one or three.

        Returns:
            Logits [B,N+1,H,W] in float32, or [B,N+1,H,W,D] in float16 to spare memory.

        Raises:
            AdaptationError: the GPU's memory does not hold a single plane.
        """
        if inputs.ndim == 4:
            return self._planes(inputs, lambda images: network(images, *args, **kwargs)).float()
        volumes = [self._volume(volume, lambda images: network(images, *args, **kwargs)) for volume in inputs]
        return torch.stack(volumes)

    def _volume(self, volume: Tensor, network: Callable[[Tensor], Tensor]) -> Tensor:
        """One volume [C,H,W,D] into logits [N+1,H,W,D], without a second copy of either."""
        logits: Tensor | None = None
        for start in range(0, volume.shape[-1], self.batch_size):
            part = slice(start, start + self.batch_size)
            found = self._planes(volume[..., part].movedim(-1, 0), network).movedim(0, -1)
            if logits is None:
                logits = found.new_empty((*found.shape[:-1], volume.shape[-1]), dtype=torch.float16)
            logits[..., part] = found
        if logits is None:
            raise OptionError("a volume without planes cannot be segmented")
        return logits

    def _planes(self, planes: Tensor, network: Callable[[Tensor], Tensor]) -> Tensor:
        """Planes [P,C,H,W] into logits [P,N+1,H,W], in batches that fit into memory."""
        batch = self.batch_size
        while True:
            try:
                with torch.no_grad(), self._autocast(planes.device):
                    return torch.cat([self._batch(part, network) for part in planes.split(batch)])
            except torch.OutOfMemoryError as error:
                batch //= 2
                if batch == 0:
                    raise AdaptationError(
                        "the GPU's memory does not hold one image", remedy="use --device cpu or a smaller size"
                    ) from error
                torch.cuda.empty_cache()
                warnings.warn(f"out of GPU memory: segmenting {batch} planes at once", stacklevel=2)

    def _batch(self, planes: Tensor, network: Callable[[Tensor], Tensor]) -> Tensor:
        images = resize_images(planes.as_subclass(Tensor).float(), self.size)
        return resize_logits(network(images.expand(-1, 3, -1, -1)), planes.shape[-2:])

    def _autocast(self, device: torch.device) -> AbstractContextManager[object]:
        able = device.type == "cuda" and torch.cuda.is_bf16_supported()
        if self.precision == "float32" or (self.precision == "auto" and not able):
            return nullcontext()
        return torch.autocast(device.type, torch.bfloat16)
