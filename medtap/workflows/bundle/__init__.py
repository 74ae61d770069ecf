"""What the bundles' configs name beside MONAI's own parts and medtap's transforms; all bundles share it."""

from medtap.workflows.bundle.case_run import CaseRun
from medtap.workflows.bundle.command import finish_command, start_command
from medtap.workflows.bundle.each_case import SaveMasks, ScoreCases
from medtap.workflows.bundle.folder_cases import FolderCases
from medtap.workflows.bundle.model import Adaptation, ShippedModel, adapted_network, choose_model, class_names
from medtap.workflows.bundle.steps import postprocessing, preprocessing
from medtap.workflows.bundle.weights import write_model
from medtap.workflows.predict import load_for

__all__ = [
    "Adaptation",
    "CaseRun",
    "FolderCases",
    "SaveMasks",
    "ScoreCases",
    "ShippedModel",
    "adapted_network",
    "choose_model",
    "class_names",
    "finish_command",
    "load_for",
    "postprocessing",
    "preprocessing",
    "start_command",
    "write_model",
]
