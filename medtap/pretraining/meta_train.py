"""Meta-training: every picture of a task is segmented by others, and all of them teach the network at once."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Generator, Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Subset

from medtap.adapters import build_adapter
from medtap.annotators import redrawn
from medtap.errors import AdaptationError
from medtap.inference import choose_device
from medtap.memory import keep_large_buffers
from medtap.networks.segmenter import FewShotSegmenter
from medtap.options import fill, refuse_unknown_choice
from medtap.precision import has_bfloat16
from medtap.pretraining.changes import changed
from medtap.pretraining.episodes import TaskStream
from medtap.pretraining.losses import backward
from medtap.pretraining.peek_training import PeekTraining
from medtap.pretraining.trained_part import TRAINED, choose_trained
from medtap.processes import average_gradients, cores_each, mean_of_all, own_device, place
from medtap.tap_options import TapOptions

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class MetaTrainOptions:
    """How to meta-train.

    Attributes:
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        average: decay of the moving average of the weights, which is what is kept.
        bfloat16: forward passes in bfloat16 autocast, where the device multiplies in it.
        checkpoint_every: steps between checkpoints.
        seed: of shots drawn in training and of the weights at the start.
        workers: processes that draw tasks ahead of each that trains; as many as cores are left when None.
        device: ``auto``, ``cpu`` or ``cuda``.
        methods: names of the adapters that are adapted with in stages of ``passes``; each task draws one.
        adapter: options of them.
        targets: the encoder's layers that LoRA changes there and, unless told others, ever after; the network's own
            when empty.
        tap: how it is adapted there, but for the passes.
        rates: learning rate of the layers' own rates there; 0 leaves them even.
        encoder_share: what the learning rate is multiplied by for the encoder; below 1 where it comes pretrained.
        train: ``all``, or ``head`` to leave the encoder as it is, in evaluation, as published heads are trained.
    """

    weight_decay: float = 0.05
    clip: float = 1.0
    average: float = 0.998
    bfloat16: bool = True
    checkpoint_every: int = 200
    seed: int = 0
    workers: int | None = None
    device: str = "auto"
    methods: Sequence[str] = ("lora",)
    adapter: Mapping[str, Any] = field(default_factory=dict)
    targets: str = ""
    tap: Mapping[str, Any] = field(default_factory=dict)
    rates: float = 0.02
    encoder_share: float = 1.0
    train: str = "all"

    def __post_init__(self) -> None:
        refuse_unknown_choice(f"no part to train is called {self.train!r}", self.train, TRAINED)


class MetaTrainer:
    """Trains a network on a stream of tasks, checkpointing so that a killed run goes on where it was.

    Of several processes, each has a stream of its own share, all learn from the mean gradient, and the first writes.

    Args:
        network: with the weights that training starts from, the same in every process.
        stream: the tasks.
        options: how to train.
        folder: for ``checkpoint.pt`` and ``log.jsonl``; all processes see it.

    Attributes:
        step: steps taken.
        seconds: what the saved steps took, over all runs.
    """

    def __init__(self, network: FewShotSegmenter, stream: TaskStream, options: MetaTrainOptions, folder: Path) -> None:
        self.device = own_device(choose_device(options.device))
        self.network, self.stream, self.options, self.folder = network.to(self.device), stream, options, folder
        self.trained, self._writes = choose_trained(self.network, options.train), place()[0] == 0
        self.network.targets = options.targets or self.network.targets
        adapters = [build_adapter(method, options.adapter) for method in options.methods]
        self.peek = PeekTraining(self.network, adapters, fill(TapOptions, options.tap), options.rates)
        self.step, self.seconds = 0, 0.0
        self._begin_round()
        self._resume()

    def _begin_round(self) -> None:
        """A fresh optimizer, and a moving average that starts at the weights as they are."""
        self.average = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(self.options.average))
        self.optimizer = torch.optim.AdamW(self._groups())

    def _groups(self) -> list[dict[str, Any]]:
        """The encoder's and the head's parameters, each with its share of the learning rate."""
        encoder = set(self.network.encoder.parameters())
        decay, share = self.options.weight_decay, self.options.encoder_share
        head = _decayed([parameter for parameter in self.trained if parameter not in encoder], decay, 1.0)
        return [*head, *_decayed([parameter for parameter in self.trained if parameter in encoder], decay, share)]

    def run(self, validate: Callable[[FewShotSegmenter], dict[str, float]]) -> FewShotSegmenter:
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
            losses.append(self._train_step(*(part.to(self.device, non_blocking=True) for part in (images, masks))))
            if self.step % self.options.checkpoint_every == 0 or self.step == len(self.stream):
                seconds = time.perf_counter() - start
                self.seconds += seconds
                if self._writes:
                    self._log(sum(losses) / len(losses), seconds / len(losses), validate(self._averaged()))
                    self._save()
                losses, start = [], time.perf_counter()
        return self._averaged()

    def _averaged(self) -> FewShotSegmenter:
        network = cast("FewShotSegmenter", self.average.module)
        if self.peek.learned:
            network.rates = self.peek.rates()
        return network

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        rest = Subset(self.stream, range(self.step, len(self.stream)))
        workers, on_gpu = self.options.workers, self.device.type == "cuda"
        drawing = max(1, cores_each() - 2) if workers is None else workers
        return iter(DataLoader(rest, batch_size=None, num_workers=drawing, pin_memory=on_gpu))

    def _train_step(self, images: Tensor, masks: Tensor) -> float:
        """Learn from a batch as often as its stage looks at it; the mean loss."""
        self._set_learning_rate()
        generator = Generator().manual_seed(self.options.seed * 1_000_003 + self.step)
        looks = self.stream.stage(self.step).looks
        loss = self._learn(images, masks, generator)
        for _ in range(looks - 1):
            loss += self._learn(*changed(images, masks, generator), generator)
        self.step += 1
        return loss / looks

    def _learn(self, images: Tensor, masks: Tensor, generator: Generator) -> float:
        """An optimizer step on tasks; the loss before it."""
        stage, bfloat16 = self.stream.stage(self.step), self.options.bfloat16 and has_bfloat16(self.device)
        passes, lacking = stage.passes, stage.lacking_of(images.shape[1])
        drawn = torch.stack([redrawn(task, stage.disagreement, generator) for task in masks])
        self.optimizer.zero_grad()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16, cache_enabled=not passes):
            if passes:
                loss = self.peek.backward(images, masks, drawn, passes, generator, lacking)
            else:
                loss = backward(self.network, images, masks, drawn, generator, lacking)
        loss = mean_of_all(loss, self.device)
        if not math.isfinite(loss):
            raise AdaptationError(f"the loss of step {self.step} is not a number", remedy="lower the learning rate")
        average_gradients(self.trained)
        nn.utils.clip_grad_norm_(self.trained, self.options.clip)
        self.optimizer.step()
        self.average.update_parameters(self.network)
        return loss

    def _set_learning_rate(self) -> None:
        """The round's rate at this step; a new round starts from the averaged weights of the one before."""
        now = next(part for part in self.stream.rounds() if self.step < part.end)
        if self.step == now.start and self.step > 0:
            self.network.load_state_dict(self.average.module.state_dict())
            self._begin_round()
        for group in self.optimizer.param_groups:
            group["lr"] = group["share"] * now.learning_rate * schedule(self.step - now.start, now.end - now.start)

    def _log(self, loss: float, seconds: float, scores: dict[str, float]) -> None:
        entry = {"step": self.step, "loss": round(loss, 4), "seconds_per_step": round(seconds, 3), **scores}
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(entry) + "\n")

    def _save(self) -> None:
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "peek": self.peek.state_dict(),
        }
        partial = self.folder / f"{CHECKPOINT}.partial"
        torch.save(state, partial)
        partial.replace(self.folder / CHECKPOINT)

    def _resume(self) -> None:
        path = self.folder / CHECKPOINT
        if path.exists():
            state = torch.load(path, weights_only=True, map_location=self.device)
            self.step, self.seconds = state["step"], state["seconds"]
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.peek.load_state_dict(state["peek"])
        if self._writes:
            self._forget_unsaved()

    def _forget_unsaved(self) -> None:
        """Drop log entries of steps that were logged but not saved: they are taken again."""
        path = self.folder / "log.jsonl"
        if path.exists():
            entries = path.read_text().splitlines(keepends=True)
            path.write_text("".join(entry for entry in entries if json.loads(entry)["step"] <= self.step))


def schedule(step: int, steps: int, longest_warmup: int = 100) -> float:
    """Share of the peak learning rate at a step: a linear warm-up of a fifth of all at most, then a cosine to zero."""
    warmup = min(longest_warmup, steps // 5)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _decayed(trained: list[nn.Parameter], weight_decay: float, share: float) -> list[dict[str, Any]]:
    """Parameter groups of one share of the learning rate: matrices and kernels decay, biases and norms do not."""
    kernels = [parameter for parameter in trained if parameter.squeeze().ndim > 1]
    others = [parameter for parameter in trained if parameter.squeeze().ndim <= 1]
    groups = ((kernels, weight_decay), (others, 0.0))
    return [{"params": part, "weight_decay": decay, "share": share} for part, decay in groups if part]
