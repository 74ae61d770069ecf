"""Meta-training of few-shot networks on generated and natural episodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medtap.late_imports import imported_late

if TYPE_CHECKING:
    from medtap.pretraining.meta_train import MetaTrainer, MetaTrainOptions
    from medtap.pretraining.recipe import Recipe, pretrain, read_recipe

__all__ = ["MetaTrainOptions", "MetaTrainer", "Recipe", "pretrain", "read_recipe"]

__getattr__, __dir__ = imported_late(
    __name__,
    {"meta_train": ("MetaTrainOptions", "MetaTrainer"), "recipe": ("Recipe", "pretrain", "read_recipe")},
)
