"""The jobs that the command line, bundles and notebooks share, and the pieces that MONAI engines are configured of."""

from medtap.workflows.adapt import adapt, gather_support
from medtap.workflows.demo import demo_data
from medtap.workflows.evaluate import evaluate
from medtap.workflows.predict import Outcome, predict
from medtap.workflows.segmenting import SegmentOptions
from medtap.workflows.show import show_case
from medtap.workflows.stream import CaseStream, Failure, case_items
from medtap.workflows.transforms import LoadLabelsd, SaveMaskd, evaluation_transforms, to_labels

__all__ = [
    "CaseStream",
    "Failure",
    "LoadLabelsd",
    "Outcome",
    "SaveMaskd",
    "SegmentOptions",
    "adapt",
    "case_items",
    "demo_data",
    "evaluate",
    "evaluation_transforms",
    "gather_support",
    "predict",
    "show_case",
    "to_labels",
]
