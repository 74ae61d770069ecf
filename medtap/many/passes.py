"""The passes of Take a Peek for many support sets: one forward and one optimizer step for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medtap.errors import AdaptationError
from medtap.losses import Loss
from medtap.passes import PseudoQueries, SupportTraining, pseudo_queries, pseudo_query_logits, steps_a_pass


@dataclass(frozen=True, eq=False)
class ManyTraining:
    """Trains the adapters of A support sets at once, each as it would be trained alone.

    Losses of the sets are summed and AdamW works number by number, so what one set learns no other one feels.

    Attributes:
        training: of the stacked adapters, on their network.
    """

    training: SupportTraining

    def run(
        self, images: Tensor, masks: Tensor, volumes: Tensor, begin: Sequence[Tensor] | None = None
    ) -> list[list[float]]:
        """Run the passes.

        Args:
            images: [A,K,3,S,S] in [0,1].
            masks: labels [A,K,S,S] in 0..N.
            volumes: number [K] of the volume that each is a plane of, the same in every set.
            begin: values of the adapters to begin with; fresh initial ones when None.

        Returns:
            By set, the support loss of every optimizer step, measured before it.

        Raises:
            AdaptationError: a loss is not a number.
        """
        options, generator = self.training.options, self.training.start(begin)
        sets = zip(images, masks, strict=True)
        queries = zip(*(pseudo_queries(*own, options, generator.clone_state(), volumes) for own in sets), strict=True)
        shown = ([step for _, step in each] for each in queries)
        losses = self.training.train(shown, steps_a_pass(options, masks[0]), self._step)
        return [[step[number] for step in losses] for number in range(len(images))]

    def _step(self, steps: Sequence[PseudoQueries], optimizer: torch.optim.Optimizer, number: int) -> list[float]:
        step = side_by_side(steps)
        logits = pseudo_query_logits(self.training.network, step, self.training.classes)
        losses = losses_by_set(self.training.loss, logits, step, len(steps))
        if not losses.isfinite().all():
            wrong = ", ".join(str(index + 1) for index in torch.where(~losses.isfinite())[0].tolist())
            remedy = "lower the learning rate (--learning-rate)"
            raise AdaptationError(f"the loss of support set {wrong} is not a number at step {number}", remedy=remedy)
        optimizer.zero_grad()
        losses.sum().backward()
        optimizer.step()
        return losses.tolist()


def side_by_side(steps: Sequence[PseudoQueries]) -> PseudoQueries:
    """The steps of A sets of P pictures as one of A * P, whose queries and shots stay within their own set."""
    starts = range(0, sum(len(step.images) for step in steps), len(steps[0].images))
    return PseudoQueries(
        torch.cat([step.images for step in steps]),
        torch.cat([step.masks for step in steps]),
        torch.cat([step.queries + start for step, start in zip(steps, starts, strict=True)]),
        torch.cat([step.shots + start for step, start in zip(steps, starts, strict=True)]),
    )


def losses_by_set(loss: Loss, logits: Tensor, step: PseudoQueries, sets: int) -> Tensor:
    """The loss [A] of each of A sets, of logits [A*Q,N+1,S,S] of their pseudo-queries."""
    target = step.masks[step.queries]
    return torch.stack([loss(*own) for own in zip(logits.chunk(sets), target.chunk(sets), strict=True)])
