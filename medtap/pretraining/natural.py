"""Episodes from natural photographs with index masks: one object class in several photographs, or in views of one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor
from torch.nn import functional as F

from medtap.chance import pick, uniform
from medtap.errors import InputError
from medtap.pretraining.synthetic import Task

_IGNORED_LABELS = (0, 255)


@dataclass(frozen=True)
class NaturalEpisodes:
    """Photographs and index masks held in memory at a moderate size.

    Attributes:
        images: uint8 tensors [3,H,W], the short side ``side`` pixels.
        masks: uint8 tensors [H,W] of class indices.
        members: for each class seen in at least six photographs, which ones they are.
        least_share: the least share of a crop that the class must cover.
    """

    images: tuple[Tensor, ...]
    masks: tuple[Tensor, ...]
    members: dict[int, tuple[int, ...]]
    least_share: float = 0.01

    @classmethod
    def read(cls, folder: Path, side: int, every: int = 10, *, held_out: bool = False) -> NaturalEpisodes:
        """Read ``folder/images/*.jpg`` and ``folder/masks/*.png`` of the same stem.

        Args:
            folder: holds ``images`` and ``masks``.
            side: the short side in pixels to keep them at.
            every: every so many photographs in sorted order, one is held out for validation; 0 holds out none.
            held_out: read those that are held out, instead of the others.

        Raises:
            InputError: there is no photograph, one has no mask, or no class is seen often enough to draw tasks of.
        """
        photographs = enumerate(sorted((folder / "images").glob("*.jpg")))
        paths = [path for index, path in photographs if (every > 0 and index % every == 0) == held_out]
        if not paths:
            raise InputError(
                "no photographs to train on",
                file=folder,
                expected="images/*.jpg with masks/*.png of the same stem",
                found="none",
                remedy="name the folder by `natural.folder` in the configuration, or set `natural.share` to 0",
            )
        pairs = [_read_pair(path, folder / "masks" / f"{path.stem}.png", side) for path in paths]
        images, masks = zip(*pairs, strict=True)
        members = _members(masks)
        if not members and not held_out:
            raise InputError("no class is seen in at least six photographs", file=folder / "masks")
        return cls(images, masks, members)

    def task(self, n: int, size: int, generator: Generator, lacking: int = 0) -> Task:
        """Draw n crops [n,3,S,S] in [0,1] that show one class, with their masks [n,S,S].

        The last ``lacking`` do not, where there are photographs that were annotated for the class and lack it.

        Raises:
            InputError: no class is seen in n photographs.
        """
        enough = [label for label, where in self.members.items() if len(where) >= n]
        if not enough:
            raise InputError(f"no class is seen in {n} photographs", remedy="read more, or draw fewer images a task")
        label = enough[pick(0, len(enough) - 1, generator)]
        members, others = self.members[label], self._others(label) if lacking else []
        if pick(0, 3, generator) == 0:
            chosen = [members[pick(0, len(members) - 1, generator)]] * n
        else:
            chosen = [members[index] for index in torch.randperm(len(members), generator=generator)[:n]]
        for place in range(n - lacking, n) if others else ():
            chosen[place] = others[pick(0, len(others) - 1, generator)]
        crops = [self._crop(index, label, size, generator) for index in chosen]
        images, masks = (torch.stack(part) for part in zip(*crops, strict=True))
        return recolour(images, generator), masks

    @cached_property
    def _labels(self) -> tuple[frozenset[int], ...]:
        """The classes that each photograph shows."""
        return tuple(frozenset(mask.unique().tolist()) - {*_IGNORED_LABELS} for mask in self.masks)

    def _others(self, label: int) -> list[int]:
        """Photographs without a class that show one which is seen beside it, so that somebody looked for both."""
        beside = frozenset[int]().union(*(self._labels[index] for index in self.members[label]))
        return [index for index, labels in enumerate(self._labels) if label not in labels and labels & beside]

    def _crop(self, index: int, label: int, size: int, generator: Generator) -> Task:
        """A random square of a photograph, with enough of the class if it has any, resized to S, perhaps mirrored."""
        image, mask = self.images[index], self.masks[index]
        least = self.least_share if index in self.members[label] else 0
        for _ in range(8):
            side = int(min(mask.shape) * float(uniform(0.5, 1.0, (1,), generator)))
            top, left = (pick(0, extent - side, generator) for extent in mask.shape)
            window = (slice(top, top + side), slice(left, left + side))
            if float((mask[window] == label).float().mean()) >= least:
                break
        else:
            window = (slice(None), slice(None))
        crop = F.interpolate(image[:, *window][None].float() / 255, (size, size), mode="bilinear", antialias=True)[0]
        cut = F.interpolate((mask[window] == label)[None, None].float(), (size, size), mode="nearest-exact")[0, 0]
        return (crop.flip(-1), cut.flip(-1)) if pick(0, 1, generator) else (crop, cut)


def _read_pair(image: Path, mask: Path, side: int) -> tuple[Tensor, Tensor]:
    if not mask.is_file():
        raise InputError("a photograph without a mask", file=image, expected=str(mask))
    photograph = Image.open(image).convert("RGB")
    scale = side / min(photograph.size)
    extent = (round(photograph.width * scale), round(photograph.height * scale))
    pixels = np.array(photograph.resize(extent, Image.Resampling.BILINEAR))
    labels = np.array(Image.open(mask).resize(extent, Image.Resampling.NEAREST))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), torch.from_numpy(labels.astype(np.uint8))


def _members(masks: tuple[Tensor, ...], least: int = 6, share: float = 0.01) -> dict[int, tuple[int, ...]]:
    """Which masks show each class on at least a share of their pixels, for classes that at least so many show."""
    found: dict[int, list[int]] = {}
    for index, mask in enumerate(masks):
        labels, counts = torch.unique(mask, return_counts=True)
        for label, count in zip(labels.tolist(), counts.tolist(), strict=True):
            if label not in _IGNORED_LABELS and count >= share * mask.numel():
                found.setdefault(label, []).append(index)
    return {label: tuple(where) for label, where in sorted(found.items()) if len(where) >= least}


def recolour(images: Tensor, generator: Generator) -> Tensor:
    """Change a task's colours: grey, inverted or permuted for all, gamma and contrast for each [n,3,S,S]."""
    n = len(images)
    if pick(0, 3, generator) == 0:
        images = images.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    if pick(0, 3, generator) == 0:
        images = images[:, torch.randperm(3, generator=generator)]
    if pick(0, 5, generator) == 0:
        images = 1 - images
    contrast, shift = uniform(0.7, 1.3, (n, 1, 1, 1), generator), uniform(-0.12, 0.12, (n, 1, 1, 1), generator)
    images = ((images - 0.5) * contrast + 0.5 + shift).clamp(0, 1)
    return images ** uniform(0.7, 1.4, (n, 1, 1, 1), generator)
