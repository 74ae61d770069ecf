"""Pascal-5i and COCO-20i: photographs whose classes are split in four folds, one of which training never sees."""

from medtap.pretraining.folds.classes import base_classes, novel_classes
from medtap.pretraining.folds.episodes import FoldEpisodes
from medtap.pretraining.folds.reading import FoldOptions, read_fold

__all__ = ["FoldEpisodes", "FoldOptions", "base_classes", "novel_classes", "read_fold"]
