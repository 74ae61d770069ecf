"""The parts of a training on a folder, each made when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from monai.data import DataLoader
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import MeanDice
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from medtap.adapters import Adapter, DecoderTuning, Joined, build_adapter
from medtap.datasets import CaseList, find_cases
from medtap.defaults import NETWORK
from medtap.episodes import draw_support, sha256_of
from medtap.finetuning.losses import LOSSES
from medtap.finetuning.optimisers import make_optimiser, polynomial_decay
from medtap.finetuning.options import FinetuneOptions, use_recipe
from medtap.finetuning.trained import TrainedSegmenter, TrainingLoss
from medtap.inference import choose_device, input_size
from medtap.networks.sam import SamSegmenter
from medtap.networks.segmenter import FewShotSegmenter
from medtap.networks.zoo import load_network, weights_sha256
from medtap.outputs import RunFolder
from medtap.processes import own_device, place
from medtap.record import AdaptationRecord
from medtap.support import SupportSet, SupportSource
from medtap.support_shape import support_shape
from medtap.workflows.finetune.data import (
    annotated_set,
    held_out_loader,
    one_hot_pair,
    split_cases,
    training_loader,
    without,
)
from medtap.workflows.finetune.training_run import TrainingRun


class FinetuneParts:
    """A training of an adapter, and of the head beside it, on a folder of annotated images.

    Args:
        images: a folder, or a CSV of images and masks.
        masks: folder of their masks; None where a CSV names them.
        out: the folder to write.
        network: a name of the zoo, or a folder.
        method: the adapter's name.
        adapter: its options.
        head: whether the network's head is trained too, as the papers do with SAM's mask decoder.
        recipe: named settings of the training.
        shots: images that the others are segmented by, where the network needs such.
        size: side in pixels that images are brought to; the network's own when None.
        layout: how the folder is laid out, where that is not plain.
        mask_threshold: masks are grey, and foreground is above this; None where they hold labels.
        classes: names of the labels; the layout's, or made up, when None.
        device: ``auto``, ``cpu`` or ``cuda``.
        overwrite: whether an earlier run in ``out`` may be replaced.
        options: replace the recipe's, see `FinetuneOptions`; those of None do not.

    Raises:
        OptionError: an option is unknown or refused. What the folders hold is looked at later.
    """

    def __init__(
        self,
        images: str | Path,
        masks: str | Path | None,
        out: str | Path,
        *,
        network: str = NETWORK,
        method: str = "lora",
        adapter: Mapping[str, Any] | None = None,
        head: bool = True,
        recipe: str = "conv_lora",
        shots: int = 5,
        size: int | None = None,
        layout: str | None = None,
        mask_threshold: float | None = None,
        classes: Sequence[str] | None = None,
        device: str = "auto",
        overwrite: bool = False,
        **options: Any,
    ) -> None:
        self.images, self.masks, self.out = Path(images), None if masks is None else Path(masks), Path(out)
        self.options: FinetuneOptions = use_recipe(recipe, **options)
        self.adapter = with_head(build_adapter(method, adapter)) if head else build_adapter(method, adapter)
        self.network_name, self.shots, self.asked_size, self.layout = network, shots, size, layout
        self.mask_threshold, self.asked_classes, self.overwrite = mask_threshold, classes, overwrite
        self.device = own_device(choose_device(device))

    @cached_property
    def base(self) -> FewShotSegmenter:
        """The network that is trained from."""
        return load_network(self.network_name)

    @property
    def size(self) -> int:
        """Side in pixels of the images."""
        return input_size(self.asked_size, self.base.size)

    @cached_property
    def split(self) -> tuple[CaseList, CaseList]:
        """Cases to train on, and cases held out."""
        cases = find_cases(self.images, self.masks, layout=self.layout)
        return split_cases(cases, self.options.held_out, self.options.seed)

    @cached_property
    def support(self) -> SupportSet:
        """The support set, drawn from the cases to train on."""
        return draw_support(
            self.split[0],
            shots=min(self.shots, len(self.split[0].cases)),
            seed=self.options.seed,
            size=self.size,
            mask_threshold=self.mask_threshold,
            classes=self.asked_classes,
        )

    @cached_property
    def model(self) -> TrainedSegmenter:
        """What is trained, on its device."""
        return TrainedSegmenter(self.base, self.adapter, self.support, self.options.seed).to(self.device)

    @cached_property
    def loss(self) -> TrainingLoss:
        """Of the options, or the one for the number of classes, and what the adapter adds."""
        return TrainingLoss(LOSSES[self.options.loss_for(len(self.support.classes))], self.model.attached)

    @cached_property
    def optimiser(self) -> Optimizer:
        """Of the adapter's parameters alone."""
        return make_optimiser(self.model.network, self.model.attached, self.options)

    @cached_property
    def schedule(self) -> LRScheduler:
        """Of the learning rate, over all steps."""
        steps = self.options.epochs * len(self.training_loader)
        return polynomial_decay(self.optimiser, steps, self.options.power)

    @cached_property
    def training_loader(self) -> DataLoader:
        """Batches to train on; a support set that the network looks at is left out."""
        seen = () if isinstance(self.base, SamSegmenter) else tuple(source.name for source in self.support.sources)
        return training_loader(self._dataset(without(self.split[0], seen), self.options.flips), self.options)

    @cached_property
    def validation(self) -> SupervisedEvaluator:
        """MONAI's evaluator of the images held out; its ``val_mean_dice`` is the mean of images and classes."""
        return SupervisedEvaluator(
            device=self.device,
            val_data_loader=held_out_loader(self._dataset(self.split[1], flips=False), self.options.batch_size),
            network=self.model,
            key_val_metric={"val_mean_dice": MeanDice(include_background=False, output_transform=one_hot_pair)},
            decollate=False,
        )

    @cached_property
    def run(self) -> TrainingRun:
        """The handler that seeds, checkpoints and records."""
        return TrainingRun(
            self._folder(), self.model, self.schedule, self.validation, self.support, self._record(), self.options
        )

    @cached_property
    def trainer(self) -> SupervisedTrainer:
        """MONAI's trainer of all this."""
        return SupervisedTrainer(
            device=self.device,
            max_epochs=self.options.epochs,
            train_data_loader=self.training_loader,
            network=self.model,
            optimizer=self.optimiser,
            loss_function=self.loss,
            decollate=False,
            train_handlers=[self.run],
        )

    def _dataset(self, cases: CaseList, flips: bool) -> Any:
        return annotated_set(cases, self.size, self.support.classes, self.mask_threshold, flips)

    def _folder(self) -> RunFolder:
        inputs = [folder for folder in (self.images, self.masks) if folder is not None]
        told: dict[str, Any] = {
            "base_sha256": weights_sha256(self.base),
            "adapter": [self.adapter.name, self.adapter.options()],
        }
        told |= {"options": asdict(self.options), "inputs": inputs, "classes": self.support.classes, "size": self.size}
        told |= {"support_sha256": self.support.sha256, "processes": place()[1], "layout": self.layout}
        told |= {"mask_threshold": self.mask_threshold}
        return RunFolder(self.out, inputs=inputs, options=told, overwrite=self.overwrite)

    def _record(self) -> AdaptationRecord:
        learnt = [SupportSource(case.name, None, sha256_of(case.sources)) for case in self.split[0].cases]
        return AdaptationRecord(
            network=self.base.source or self.base.name,
            base_sha256=weights_sha256(self.base),
            method=self.adapter.name,
            adapter=self.adapter.options(),
            tap=asdict(self.options),
            classes=self.support.classes,
            shots=self.support.shots,
            size=self.size,
            axis="axial",
            support_sha256=self.support.sha256,
            support=tuple(asdict(source) for source in learnt),
            losses=(),
            warnings=self.support.warnings,
            support_shape=support_shape(self.support.masks, self.support.classes),
        )


def with_head(adapter: Adapter) -> Adapter:
    """An adapter and the head of its network as one; of adapters that train the head already, themselves."""
    reaches_head = type(adapter).part is not Adapter.part
    return adapter if reaches_head else Joined((adapter, DecoderTuning()))
