"""Meta-training of few-shot networks on generated and natural episodes."""

from medtap.pretraining.meta_train import MetaTrainer, MetaTrainOptions
from medtap.pretraining.recipe import Recipe, pretrain, read_recipe

__all__ = ["MetaTrainOptions", "MetaTrainer", "Recipe", "pretrain", "read_recipe"]
