"""A few-shot network as an ordinary one in training: images in, logits of every class out."""

from __future__ import annotations

from typing import Self

import torch
from torch import Generator, Tensor, nn

from medtap.adapters import Adapter, AttachedAdapter
from medtap.errors import OptionError
from medtap.finetuning.losses import Loss
from medtap.networks.classes import recall_classes, remember_classes
from medtap.networks.sam import SamSegmenter
from medtap.networks.segmenter import FewShotSegmenter, Memory, share_weights
from medtap.support import SupportSet


class TrainedSegmenter(nn.Module):
    """A network with an adapter attached, trained without pseudo-queries.

    Images are segmented by one support set, which is encoded with them in training so that its gradient counts too. SAM
    needs none. Norms and dropout of the network stay in evaluation, whatever `train` is told; the adapter's follow it.

    Args:
        network: stays as it is.
        adapter: what is trained; the rest is frozen.
        support: the images that every other is segmented by.
        seed: of the adapter's initial values.

    Raises:
        OptionError: a SAM is to tell several classes apart and has no branch for as many.
    """

    def __init__(self, network: FewShotSegmenter, adapter: Adapter, support: SupportSet, seed: int = 0) -> None:
        super().__init__()
        self.classes, self.shots = len(support.classes), support.shots
        _refuse_unfit(network, self.classes)
        self.network = share_weights(network).eval().requires_grad_(False)
        self.attached: AttachedAdapter = adapter.attach(adapter.part(self.network))
        self.attached.reset(Generator().manual_seed(seed))
        self.register_buffer("support_images", support.images, persistent=False)
        self.register_buffer("support_masks", support.masks, persistent=False)
        self._digested: Memory | None = None
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Switch the adapter's dropout; the network stays in evaluation."""
        self.training = mode
        self._digested = None if mode else self._digested
        self.attached.train(mode)
        return self

    def memory(self) -> Memory:
        """The support set digested by the network as it is now, each part [N,K,...]."""
        if isinstance(self.network, SamSegmenter):
            return self.network.memory_of(self.classes, self.shots)
        features = self.network.encode(self.get_buffer("support_images"))
        return remember_classes(self.network, features, self.get_buffer("support_masks"), self.classes)

    def forward(self, images: Tensor) -> Tensor:
        """Segment images [B,3,H,W] in [0,1]: logits [B,N+1,H,W], background first."""
        memory = self.memory() if self.training or self._digested is None else self._digested
        self._digested = None if torch.is_grad_enabled() else memory
        return recall_classes(self.network, self.network.encode(images), memory, images.shape[-2:])


class TrainingLoss:
    """A loss and what the adapter adds to it.

    Args:
        loss: of logits and labels.
        attached: whose auxiliary loss is added.
    """

    def __init__(self, loss: Loss, attached: AttachedAdapter) -> None:
        self.loss, self.attached = loss, attached

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of logits [B,N+1,H,W] and labels [B,1,H,W]; a scalar."""
        return self.loss(logits.float(), labels) + self.attached.auxiliary_loss()


def _refuse_unfit(network: FewShotSegmenter, classes: int) -> None:
    if isinstance(network, SamSegmenter) and classes > 1 and network.classes != classes:
        raise OptionError(
            "a SAM without a branch for these classes",
            expected=f"one of {classes} classes",
            found=f"one of {network.classes}" if network.classes else "none",
            remedy=f"save one: load_sam(FOLDER, classes={classes}), see docs of bundles/sam_finetune",
        )
