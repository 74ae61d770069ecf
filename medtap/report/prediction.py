"""The report of a prediction: a sample of the masks, and what the network had learnt from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medtap.record import AdaptationRecord
from medtap.report.evaluation import plane_note
from medtap.report.page import Figure, Gallery, Learnt, Page, Problems, Rerun, Table
from medtap.report.pictures import CasePicture
from medtap.report.prose import counted, listed

_MOST_ROWS = 2000
_LEGEND = "Lines and shading are the prediction."


def prediction_page(
    record: AdaptationRecord,
    masks: Mapping[str, str],
    pictures: Mapping[str, CasePicture],
    *,
    learnt: Learnt,
    problems: Problems,
    rerun: Rerun,
) -> Page:
    """Put the report of a prediction together.

    Args:
        record: of the adapter.
        masks: relative path of each case's mask, by case.
        pictures: of the cases that are shown.
        learnt: what the network was adapted on.
        problems: what went wrong.
        rerun: how to do it again.
    """
    names = sorted(masks)
    failed = ((str(len(problems.failed)), "failed"),) if problems.failed else ()
    return Page(
        title=f"Segmentation of {listed(record.classes)}",
        facts=(
            (str(len(names)), "case segmented" if len(names) == 1 else "cases segmented"),
            *failed,
            (str(record.shots), "annotated example" if record.shots == 1 else "annotated examples"),
            (str(len(record.classes)), "class" if len(record.classes) == 1 else "classes"),
        ),
        sentences=(_what_was_done(len(names)),),
        learnt=learnt,
        problems=problems,
        rerun=rerun,
        galleries=_galleries(pictures, len(names), record.classes),
        legend=_LEGEND,
        cases=Table("Masks of every case", ("case", "mask"), [(name, masks[name]) for name in names[:_MOST_ROWS]]),
        hidden=max(0, len(names) - _MOST_ROWS),
        full_table="run.json",
    )


def _what_was_done(cases: int) -> str:
    return (
        f"{counted(cases, 'case')} {'was' if cases == 1 else 'were'} segmented. Nothing here says how right the masks "
        "are, since there was no annotation to compare them with: look at them, or run medtap evaluate on annotated "
        "cases of the same kind."
    )


def _galleries(pictures: Mapping[str, CasePicture], cases: int, classes: Sequence[str]) -> tuple[Gallery, ...]:
    if not pictures:
        return ()
    figures = tuple(_figure(name, pictures[name], classes) for name in sorted(pictures))
    drawn = "All cases." if len(figures) == cases else f"{len(figures)} of {cases} cases, drawn at random by the seed."
    return (Gallery("Sample", drawn, figures),)


def _figure(name: str, picture: CasePicture, classes: Sequence[str]) -> Figure:
    plane = plane_note(picture)
    whole = "plane" if plane else "image"
    shares = [_share(label, share, whole) for label, share in zip(classes, picture.shares, strict=True)]
    alt = f"Case {name}{', ' + plane if plane else ''}: the prediction outlined and shaded, {listed(shares)}."
    return Figure(picture.draw(len(classes)), name, tuple(text for text in (*shares, plane) if text), alt)


def _share(label: str, share: float, whole: str) -> str:
    if share == 0:
        return f"no {label} found"
    return f"{label} on {'less than 0.1' if share < 0.001 else f'{100 * share:.1f}'} % of the {whole}"
