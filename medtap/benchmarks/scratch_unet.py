"""The baseline that learns from the support set alone: a U-Net trained from scratch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from torch import Generator, Tensor

from medtap.augmentation import augmented_views
from medtap.benchmarks.method import Learnt
from medtap.errors import OptionError
from medtap.inference import PlaneInferer
from medtap.support import SupportSet

_CHANNELS = (16, 32, 64, 128, 256)


@dataclass(frozen=True)
class ScratchUnet:
    """A residual U-Net of 1.6 M parameters, trained on random views of the K pictures with Dice and cross-entropy.

    So many steps take about ten times as long as an adaptation. Nothing of it was chosen on target images.

    Attributes:
        size: side in pixels that it is trained at.
        steps: of AdamW.
        batch: views a step, of pictures drawn with replacement.
        learning_rate: the highest of a one-cycle schedule.
        weight_decay: of AdamW.
        seed: of weights, draws and views.
        device: where.
    """

    size: int = 160
    steps: int = 400
    batch: int = 4
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if min(self.steps, self.batch) < 1 or self.learning_rate <= 0 or self.size % 16:
            raise OptionError(
                "a U-Net that cannot be trained",
                expected="steps and batch of at least 1, a learning rate above 0, a size divisible by 16",
                found=f"{self.steps}, {self.batch}, {self.learning_rate}, {self.size}",
            )

    def describe(self) -> dict[str, Any]:
        """What decides its results."""
        return asdict(self)

    def learn(self, support: SupportSet) -> Learnt:
        """Train a network on K pictures."""
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.default_generator.manual_seed(self.seed)
            network = self._trained(support)
        inferer = PlaneInferer(self.size, precision="float32")
        return Learnt(lambda images: inferer(images.to(self.device), network).cpu())

    def _trained(self, support: SupportSet) -> UNet:
        network = UNet(2, 3, len(support.classes) + 1, _CHANNELS, (2,) * (len(_CHANNELS) - 1), num_res_units=2)
        network.to(self.device).train()
        loss_of = DiceCELoss(to_onehot_y=True, softmax=True)
        optimizer = torch.optim.AdamW(network.parameters(), self.learning_rate, weight_decay=self.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.learning_rate, self.steps)
        generator = Generator().manual_seed(self.seed)
        for _ in range(self.steps):
            images, masks = self._views(support, generator)
            optimizer.zero_grad()
            loss_of(network(images), masks[:, None]).backward()
            optimizer.step()
            schedule.step()
        return network.eval().requires_grad_(False)

    def _views(self, support: SupportSet, generator: Generator) -> tuple[Tensor, Tensor]:
        """Images [B,3,S,S] and labels [B,S,S] of one step."""
        chosen = torch.randint(support.shots, (self.batch,), generator=generator)
        images, masks = augmented_views(support.images[chosen], support.masks[chosen], generator)
        return images.to(self.device), masks.to(self.device)
