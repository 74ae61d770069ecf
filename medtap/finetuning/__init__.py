"""Training an adapter on a folder of annotated images: losses, optimisers, settings, and what is trained."""

from medtap.finetuning.losses import LOSSES
from medtap.finetuning.options import RECIPES, FinetuneOptions, use_recipe

__all__ = ["LOSSES", "RECIPES", "FinetuneOptions", "use_recipe"]
