"""What comes before and after the network in every bundle, in one name each."""

from __future__ import annotations

from collections.abc import Sequence

from monai.transforms import Compose

from medtap.data import image_transforms
from medtap.workflows.bundle.model import Adaptation, ShippedModel
from medtap.workflows.hosts import FromHostd, ToHostd
from medtap.workflows.transforms import to_labels


def preprocessing(axis: str, volumes: bool = False) -> Compose:
    """``medtap.data.image_transforms``, and behind its LoadImaged what takes images that a host has read itself.

    Args:
        axis: the axis along which volumes are cut into planes.
        volumes: whether a host may hand over volumes; files may be either.

    Raises:
        OptionError: no such axis.
    """
    load, *rest = image_transforms(axis).transforms
    return Compose([load, FromHostd("image", volumes), *rest])


def postprocessing(
    preprocessing: Compose,
    classes: Sequence[str],
    clean: str = "none",
    model: Adaptation | ShippedModel | None = None,
) -> Compose:
    """From logits ``pred`` [N+1,H,W(,D)] to labels [1,...] on the grid of the image as it was stored or handed over.

    Args:
        preprocessing: what the image went through, to be inverted.
        classes: names of labels 1 to N.
        clean: how label maps are cleaned: ``none``, ``largest``, ``holes``, ``both`` or ``auto``.
        model: what the network is filled with; its support masks decide for ``auto``.

    Raises:
        OptionError: no such way of cleaning.
        WeightsError: the manifest of a bundle's own model, which ``auto`` reads, is missing or damaged.
    """
    shapes = model.shapes if clean == "auto" and model is not None else ()
    return Compose([*to_labels(preprocessing, clean, len(classes), shapes).transforms, ToHostd("pred")])
