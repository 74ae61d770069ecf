"""SupportSet: the K annotated images a network adapts to, checked once and told apart by a hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from medtap.errors import SupportError

_PREPROCESSING = (
    "upright or radiological planes; DICOM's window, 8 bits by 255, else percentiles 0.5 to 99.5; bilinear antialias"
)


@dataclass(frozen=True)
class SupportSource:
    """Where one support pair came from.

    Args:
        name: the case's name.
        plane: index along the axis, in the order of `medtap.data.planes_of`; None for an image.
        image_sha256: hash of the bytes of the image's file; empty where there was no file.
    """

    name: str
    plane: int | None = None
    image_sha256: str = ""


@dataclass(frozen=True, eq=False)
class SupportSet:
    """K annotated images; make one with `from_tensors` or `medtap.episodes.draw_support`, which check it.

    Args:
        images: [K, 3, S, S] float32 in [0, 1].
        masks: [K, S, S] int64, 0 background, 1 to N the classes.
        classes: the N names.
        sources: where each pair came from.
        axis: the axis that planes of volumes were taken along.
        sha256: hash over images, masks, classes and preprocessing.
        warnings: what is odd about it, but may be meant.
        lacking: [N, 3, S, S], pictures that show none of the classes, in the same terms. An adaptation learns from them
            to find nothing; they are no shots, for nothing can be segmented like them.
        lacking_sources: where they came from.
    """

    images: torch.Tensor
    masks: torch.Tensor
    classes: tuple[str, ...]
    sources: tuple[SupportSource, ...]
    axis: str
    sha256: str
    warnings: tuple[str, ...] = ()
    lacking: torch.Tensor = field(default_factory=lambda: torch.empty(0, 3, 1, 1))
    lacking_sources: tuple[SupportSource, ...] = ()

    @property
    def pictures(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """All that an adaptation sees, the K pairs first: images, label maps, and their ``volumes``."""
        if len(self.lacking) == 0:
            return self.images, self.masks, self.volumes
        nothing = self.masks.new_zeros(len(self.lacking), self.size, self.size)
        return torch.cat([self.images, self.lacking]), torch.cat([self.masks, nothing]), self.volumes

    @property
    def shots(self) -> int:
        """Number of pairs K."""
        return len(self.images)

    @property
    def volumes(self) -> torch.Tensor:
        """Number [K+N] of the image or volume that each pair, and each picture without a class, came from."""
        names = [source.name for source in (*self.sources, *self.lacking_sources)]
        return torch.tensor([names.index(name) for name in names])

    @property
    def size(self) -> int:
        """Side S of the images in pixels."""
        return self.images.shape[-1]

    def with_lacking(self, most: int) -> SupportSet:
        """The same pairs, with the first of the pictures that show no class, at most so many."""
        if len(self.lacking) <= most:
            return self
        pairs: dict[str, Any] = {"sources": self.sources, "axis": self.axis, "lacking": self.lacking[:most]}
        pairs |= {"lacking_sources": self.lacking_sources[:most]}
        return self.from_tensors(self.images, self.masks, self.classes, **pairs)

    @classmethod
    def from_tensors(
        cls,
        images: torch.Tensor,
        masks: torch.Tensor,
        classes: Sequence[str],
        *,
        sources: Sequence[SupportSource] | None = None,
        axis: str = "axial",
        lacking: torch.Tensor | None = None,
        lacking_sources: Sequence[SupportSource] | None = None,
    ) -> SupportSet:
        """A support set of tensors at hand, checked as a drawn one is.

        Args:
            images: [K, 3, S, S] in [0, 1].
            masks: [K, S, S], whole numbers 0 to N.
            classes: the N names.
            sources: where each pair came from; by number where not given.
            axis: recorded.
            lacking: [N, 3, S, S] in [0, 1], pictures that show none of the classes.
            lacking_sources: where these came from; by number where not given.

        Raises:
            SupportError: no pair, shapes that do not fit, values out of range, an empty mask, or a class in no mask.
        """
        names = tuple(classes)
        _check_shapes(images, masks)
        _check_values(images, masks, names)
        images, masks = _plain(images).float().contiguous(), _plain(masks).long().contiguous()
        given = tuple(sources or (SupportSource(f"support-{index}") for index in range(len(images))))
        _check_content(masks, names, given)
        others = _plain(images[:0] if lacking is None else lacking).float().contiguous()
        own = tuple(lacking_sources or (SupportSource(f"lacking-{index}") for index in range(len(others))))
        _check_lacking(others, images, own)
        digest = _digest(images, masks, names, axis, others)
        warnings = _warnings((*images, *others), masks, (*given, *own))
        if len(others) == 0 and any(source.plane is not None for source in given):
            warnings += _never_without(masks, names)
        return cls(images, masks, names, given, axis, digest, warnings, others, own)


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().cpu().as_subclass(torch.Tensor)


def _check_shapes(images: torch.Tensor, masks: torch.Tensor) -> None:
    if images.shape[:1] == (0,):
        raise SupportError("a support set of no pair", expected="at least one", found="K = 0")
    fits = images.ndim == 4 and images.shape[1] == 3 and images.shape[2] == images.shape[3]
    if not fits or masks.shape != (len(images), *images.shape[2:]):
        raise SupportError(
            "support images and masks of wrong shapes",
            expected="images [K, 3, S, S] and masks [K, S, S]",
            found=f"{list(images.shape)} and {list(masks.shape)}",
        )


def _check_values(images: torch.Tensor, masks: torch.Tensor, classes: tuple[str, ...]) -> None:
    low, high = float(images.min()), float(images.max())
    if not (images.isfinite().all() and low >= 0 and high <= 1):
        raise SupportError("support images out of range", expected="values in [0, 1]", found=f"{low:g} to {high:g}")
    if not classes or "" in classes or len(set(classes)) != len(classes):
        raise SupportError("names of classes are needed", expected="different names", found=f"{len(classes)} names")
    labels = masks.unique().tolist()
    if any(label != int(label) or not 0 <= label <= len(classes) for label in labels):
        raise SupportError(
            "support masks with values that are not labels",
            expected=f"0 to {len(classes)}",
            found=f"{labels[0]:g} to {labels[-1]:g}",
            remedy="name every class with --classes",
        )


def _check_content(masks: torch.Tensor, classes: tuple[str, ...], sources: tuple[SupportSource, ...]) -> None:
    if len(sources) != len(masks):
        raise SupportError("sources that do not fit", expected=f"{len(masks)} sources", found=str(len(sources)))
    for mask, source in zip(masks, sources, strict=True):
        if not mask.any():
            raise SupportError(
                f"an empty mask in the support set: {source.name}", expected="foreground in every mask",
                remedy="leave this image out, or draw with another --seed",
            )  # fmt: skip
    present = set(masks.unique().tolist())
    missing = [name for label, name in enumerate(classes, start=1) if label not in present]
    if missing:
        raise SupportError("a class that no support mask holds", expected="each class once", found=", ".join(missing))


def _check_lacking(lacking: torch.Tensor, images: torch.Tensor, sources: tuple[SupportSource, ...]) -> None:
    if lacking.shape[1:] != images.shape[1:] or len(sources) != len(lacking):
        raise SupportError(
            "pictures without a class that do not fit the support set",
            expected=f"images [N, {', '.join(map(str, images.shape[1:]))}] with N sources",
            found=f"{list(lacking.shape)} and {len(sources)}",
        )
    if len(lacking) and not (lacking.isfinite().all() and lacking.min() >= 0 and lacking.max() <= 1):
        raise SupportError("pictures without a class that are out of range", expected="values in [0, 1]")


def _digest(
    images: torch.Tensor, masks: torch.Tensor, classes: tuple[str, ...], axis: str, lacking: torch.Tensor
) -> str:
    described = {"shape": list(images.shape), "classes": classes, "axis": axis, "preprocessing": _PREPROCESSING}
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    digest.update(images.numpy().tobytes())
    digest.update(masks.numpy().tobytes())
    digest.update(lacking.numpy().tobytes())
    return digest.hexdigest()


def _warnings(
    images: Sequence[torch.Tensor], masks: torch.Tensor, sources: tuple[SupportSource, ...]
) -> tuple[str, ...]:
    found: list[str] = []
    first: dict[bytes, SupportSource] = {}
    for image, source in zip(images, sources, strict=True):
        twin = first.setdefault(hashlib.sha256(image.numpy().tobytes()).digest(), source)
        if twin is not source:
            found.append(f"the support set holds the same image twice: {twin.name} and {source.name}")
    full = (source for mask, source in zip(masks, sources[: len(masks)], strict=True) if bool(mask.all()))
    return (*found, *(f"a support mask is all foreground: {source.name}" for source in full))


def _never_without(masks: torch.Tensor, classes: tuple[str, ...]) -> tuple[str, ...]:
    """What to tell of the classes that every support plane of volumes shows."""
    always = [name for label, name in enumerate(classes, start=1) if bool((masks == label).flatten(1).any(1).all())]
    if not always:
        return ()
    names, what = ", ".join(always), "they are" if len(always) > 1 else "it is"
    remedy = "learn from planes without foreground too (--lacking), where the volumes are annotated whole"
    return (f"every support plane shows {names}: {what} found in nearly every plane of a volume, then; {remedy}",)
