"""What a run shows to people: contact sheets, tables of scores and the report."""

from medtap.report.contact_sheet import contact_sheet
from medtap.report.evaluation import evaluation_page
from medtap.report.learnt import learnt_from
from medtap.report.page import REPORT, Page, Problems, render, to_bytes
from medtap.report.pictures import CasePicture, take_picture
from medtap.report.prediction import prediction_page
from medtap.report.provenance import rerun
from medtap.report.scores import score_head, score_table, shown_score

__all__ = [
    "REPORT",
    "CasePicture",
    "Page",
    "Problems",
    "contact_sheet",
    "evaluation_page",
    "learnt_from",
    "prediction_page",
    "render",
    "rerun",
    "score_head",
    "score_table",
    "shown_score",
    "take_picture",
    "to_bytes",
]
