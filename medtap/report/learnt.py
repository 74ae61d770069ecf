"""The part of a report that tells of the adaptation."""

from __future__ import annotations

import io

from PIL import Image

from medtap.record import AdaptationRecord
from medtap.report.charts import loss_curve
from medtap.report.overlay import class_colour
from medtap.report.page import Chart, Learnt, data_uri
from medtap.report.pictures import jpeg
from medtap.report.prose import adaptation_sentences, counted, listed

_WIDEST, _QUALITY = 1400, 85


def css_colour(label: int) -> str:
    """The colour of a class as style sheets write it."""
    return "#{:02x}{:02x}{:02x}".format(*class_colour(label))


def learnt_from(record: AdaptationRecord, sheet: bytes | None) -> Learnt:
    """What a network was adapted on.

    Args:
        record: of the adaptation.
        sheet: the support set's contact sheet, a PNG file; None where there is none.
    """
    return Learnt(
        sentences=adaptation_sentences(record),
        classes=tuple((name, css_colour(label)) for label, name in enumerate(record.classes, start=1)),
        sheet=None if sheet is None else data_uri(_compact(sheet), "jpeg"),
        alt=f"The {counted(record.shots, 'support image')}, each with {listed(record.classes)} outlined.",
        course=Chart("Error on the support set while adapting", loss_curve(record.losses)) if record.losses else None,
    )


def _compact(sheet: bytes) -> bytes:
    picture = Image.open(io.BytesIO(sheet)).convert("RGB")
    if picture.width > _WIDEST:
        picture.thumbnail((_WIDEST, picture.height), Image.Resampling.LANCZOS)
    return jpeg(picture, _QUALITY)
