"""Meta-training: every picture of a task is segmented by the others, and all of them teach the network at once."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from monai.losses import DiceLoss
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Subset

from medtap.errors import AdaptationError
from medtap.memory import keep_large_buffers
from medtap.networks.segmenter import FewShotSegmenter, unfold_shots
from medtap.networks.shots import leave_one_out, select_shots
from medtap.pretraining.episodes import TaskStream

_DICE = DiceLoss(softmax=True, to_onehot_y=True, include_background=False)


@dataclass(frozen=True)
class MetaTrainOptions:
    """How to meta-train.

    Attributes:
        learning_rate: peak of AdamW's rate; warmed up over 100 steps, then a cosine to zero.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        average: decay of the moving average of the weights, which is what is kept.
        bfloat16: forward passes in bfloat16 autocast.
        checkpoint_every: steps between checkpoints.
        seed: of shots drawn in training and of the weights at the start.
        workers: processes that draw tasks ahead of the training.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    clip: float = 1.0
    average: float = 0.998
    bfloat16: bool = True
    checkpoint_every: int = 200
    seed: int = 0
    workers: int = 1


def episode_loss(network: FewShotSegmenter, images: Tensor, masks: Tensor, shots: Tensor) -> tuple[Tensor, Tensor]:
    """Segment every picture of T tasks by others of its task.

    Args:
        network: the network to train.
        images: [T,n,3,S,S] in [0,1].
        masks: [T,n,S,S] in {0,1}.
        shots: indices [n,K] of the pictures that each one is segmented by.

    Returns:
        Cross-entropy plus Dice loss (a scalar), and the logits [T*n,2,S,S].
    """
    features = network.encode(images.flatten(0, 1))
    memory = network.remember(unfold_shots(features, len(images)), masks)
    logits = network.recall(features, select_shots(memory, shots)).float()
    target = masks.flatten(0, 1).long()
    return F.cross_entropy(logits, target) + _DICE(logits, target.unsqueeze(1)), logits


class MetaTrainer:
    """Trains a network on a stream of tasks, checkpointing so that a killed run goes on where it was.

    Args:
        network: with random weights.
        stream: the tasks.
        options: how to train.
        folder: for ``checkpoint.pt`` and ``log.jsonl``.
    """

    def __init__(self, network: FewShotSegmenter, stream: TaskStream, options: MetaTrainOptions, folder: Path) -> None:
        self.network, self.stream, self.options, self.folder = network.train(), stream, options, folder
        self.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(options.average))
        self.optimizer = torch.optim.AdamW(_decayed(network, options.weight_decay), lr=options.learning_rate)
        self.step = 0
        self._resume()

    def run(self, validate: Callable[[nn.Module], dict[str, float]]) -> FewShotSegmenter:
        """Train to the end of the stream and give the averaged network.

        Args:
            validate: gives the scores of a network, for the log; called at every checkpoint.

        Raises:
            AdaptationError: the loss is not a number.
        """
        keep_large_buffers()
        losses: list[float] = []
        start = time.perf_counter()
        for images, masks in self._batches():
            losses.append(self._train_step(images, masks))
            if self.step % self.options.checkpoint_every == 0 or self.step == len(self.stream):
                seconds = (time.perf_counter() - start) / len(losses)
                self._log(sum(losses) / len(losses), seconds, validate(self.average.module))
                self._save()
                losses, start = [], time.perf_counter()
        return cast("FewShotSegmenter", self.average.module)

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        rest = Subset(self.stream, range(self.step, len(self.stream)))
        return iter(DataLoader(rest, batch_size=None, num_workers=self.options.workers))

    def _train_step(self, images: Tensor, masks: Tensor) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.learning_rate * schedule(self.step, len(self.stream))
        shots = self._shots(images.shape[1])
        with torch.autocast("cpu", torch.bfloat16, enabled=self.options.bfloat16):
            loss, _ = episode_loss(self.network, images, masks, shots)
        if not math.isfinite(loss.item()):
            raise AdaptationError(f"the loss of step {self.step} is not a number", remedy="lower the learning rate")
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.options.clip)
        self.optimizer.step()
        self.average.update_parameters(self.network)
        self.step += 1
        return loss.item()

    def _shots(self, images: int) -> Tensor:
        generator = Generator().manual_seed(self.options.seed * 1_000_003 + self.step)
        drawn = int(torch.randint(1, images, (1,), generator=generator))
        return leave_one_out(images, drawn, generator)

    def _log(self, loss: float, seconds: float, scores: dict[str, float]) -> None:
        entry = {"step": self.step, "loss": round(loss, 4), "seconds_per_step": round(seconds, 3), **scores}
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(entry) + "\n")

    def _save(self) -> None:
        state = {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        partial = self.folder / "checkpoint.pt.partial"
        torch.save(state, partial)
        partial.replace(self.folder / "checkpoint.pt")

    def _resume(self) -> None:
        path = self.folder / "checkpoint.pt"
        if path.exists():
            state = torch.load(path, weights_only=True)
            self.step = state["step"]
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
        self._forget_unsaved()

    def _forget_unsaved(self) -> None:
        """Drop log entries of steps that were logged but not saved: they are taken again."""
        path = self.folder / "log.jsonl"
        if path.exists():
            entries = path.read_text().splitlines(keepends=True)
            path.write_text("".join(entry for entry in entries if json.loads(entry)["step"] <= self.step))


def schedule(step: int, steps: int, warmup: int = 100) -> float:
    """Share of the peak learning rate at a step: linear warm-up, then a cosine to zero."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _decayed(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Parameter groups: matrices and kernels decay, biases, norms and temperatures do not."""
    kernels = [parameter for parameter in network.parameters() if parameter.squeeze().ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.squeeze().ndim <= 1]
    return [{"params": kernels, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def episode_iou(network: FewShotSegmenter, stream: TaskStream) -> float:
    """Mean IoU over every picture of a stream, each segmented by all others of its task."""
    scores = []
    mode = network.training
    network.eval()
    with torch.no_grad():
        for step in range(len(stream)):
            images, masks = stream[step]
            _, logits = episode_loss(network, images, masks, leave_one_out(images.shape[1]))
            found, truth = logits.argmax(1).bool(), masks.flatten(0, 1).bool()
            union = (found | truth).sum((1, 2)).clamp_min(1)
            scores.append(((found & truth).sum((1, 2)) / union).mean())
    network.train(mode)
    return float(torch.stack(scores).mean())
