"""Annotated images as batches to train on, and those held out to choose the best epoch by."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from monai.data import DataLoader, Dataset, DistributedSampler
from monai.transforms import Compose, EnsureTyped, MapTransform, RandFlipd
from torch import Tensor
from torch.nn import functional as F

from medtap.data import resize_images, resize_masks
from medtap.datasets import CaseList
from medtap.errors import InputError
from medtap.finetuning.options import FinetuneOptions
from medtap.processes import place
from medtap.workflows.stream import case_items
from medtap.workflows.transforms import evaluation_transforms

_BOTH, _FLIP = ("image", "label"), 0.5


class ToSquared(MapTransform):
    """An image [3,H,W] and its labels [1,H,W] to plain tensors [3,S,S] and [1,S,S], and nothing else of the case.

    Args:
        size: S in pixels.
    """

    def __init__(self, size: int) -> None:
        super().__init__(_BOTH)
        self.size = size

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Tensor]:
        """The two tensors.

        Raises:
            InputError: a volume.
        """
        image, label = data["image"].as_tensor(), data["label"].as_tensor()
        if image.ndim != 3:
            raise InputError(
                "a volume cannot be trained on",
                file=str(data["name"]),
                expected="images",
                found=str(list(image.shape)),
                remedy="write its planes as images, or adapt to it with `medtap adapt`",
            )
        return {"image": resize_images(image[None], self.size)[0], "label": resize_masks(label, self.size).long()}


def split_cases(cases: CaseList, held_out: float, seed: int) -> tuple[CaseList, CaseList]:
    """Cases to train on, and a share of them (at least one) held out, drawn by the seed; each in the order given.

    Raises:
        InputError: there are fewer than two annotated cases.
    """
    annotated = [case for case in cases.cases if case.mask is not None]
    if len(annotated) < 2:
        raise InputError("too few annotated images to train on", expected="2 or more", found=str(len(annotated)))
    count = min(max(1, round(held_out * len(annotated))), len(annotated) - 1)
    drawn = set(np.random.default_rng(seed).permutation(len(annotated))[:count].tolist())
    parts = [[case for index, case in enumerate(annotated) if (index in drawn) == out] for out in (False, True)]
    return replace(cases, cases=tuple(parts[0])), replace(cases, cases=tuple(parts[1]))


def without(cases: CaseList, names: Sequence[str]) -> CaseList:
    """Cases but those of some names.

    Raises:
        InputError: none is left.
    """
    left = tuple(case for case in cases.cases if case.name not in set(names))
    if not left:
        raise InputError("the support set takes every image", remedy="give more images, or fewer --shots")
    return replace(cases, cases=left)


def annotated_set(cases: CaseList, size: int, classes: Sequence[str], threshold: float | None, flips: bool) -> Dataset:
    """A dataset of ``image`` [3,S,S] in [0,1] and ``label`` [1,S,S] in 0..N, mirrored at random where wanted."""
    read = evaluation_transforms("axial", threshold, classes).transforms
    mirror = [RandFlipd(_BOTH, prob=_FLIP, spatial_axis=1)] if flips else []
    plain = EnsureTyped(_BOTH, track_meta=False)  # MetaTensors pay for their meta data at every step of a network
    return Dataset(case_items(cases), Compose([*read, ToSquared(size), *mirror, plain]))


def training_loader(dataset: Dataset, options: FinetuneOptions) -> DataLoader:
    """Batches in an order drawn by the seed and the epoch; every process gets as many, of images of its own."""
    rank, count = place()
    order = DistributedSampler(dataset, num_replicas=count, rank=rank, shuffle=True, seed=options.seed)
    return DataLoader(dataset, batch_size=options.batch_size, sampler=order, num_workers=0)


def held_out_loader(dataset: Dataset, batch_size: int) -> DataLoader:
    """Batches in order, each image in one process.

    Raises:
        InputError: there are fewer images than processes.
    """
    rank, count = place()
    if len(dataset) < count:
        raise InputError("fewer images held out than processes", expected=f"{count} or more", found=str(len(dataset)))
    order = DistributedSampler(dataset, even_divisible=False, num_replicas=count, rank=rank, shuffle=False)
    return DataLoader(dataset, batch_size=batch_size, sampler=order, num_workers=0)


def begin_epoch(loader: DataLoader, epoch: int, seed: int) -> None:
    """Set the order and the flips of an epoch, so that they are the same whether or not the run was interrupted."""
    rank, count = place()
    loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
    loader.dataset.transform.set_random_state(seed=(seed + epoch * count + rank) % 2**32)  # type: ignore[attr-defined]


def one_hot_pair(output: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The most probable class and the labels of a batch, both one-hot [B,N+1,H,W], for MONAI's metrics."""
    logits, labels = output["pred"], output["label"]
    classes = logits.shape[1]
    found, truth = (F.one_hot(index, classes).movedim(-1, 1) for index in (logits.argmax(1), labels[:, 0].long()))
    return found.to(torch.uint8), truth.to(torch.uint8)
