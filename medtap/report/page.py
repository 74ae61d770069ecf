"""What a report says, and the one HTML file that it becomes."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

REPORT = "report.html"
_ENVIRONMENT = Environment(
    loader=PackageLoader("medtap", "report/templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row is its heading.

    Attributes:
        caption: what it holds, said to those who hear it.
        head: names of the columns.
        rows: cells of text.
        numeric: whether all but the first column are numbers, to be aligned.
    """

    caption: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    numeric: bool = False


@dataclass(frozen=True)
class Figure:
    """A picture of a case.

    Attributes:
        jpeg: its file.
        name: the case.
        notes: lines below the name.
        alt: what is to be seen, for those who do not see it.
    """

    jpeg: bytes
    name: str
    notes: tuple[str, ...]
    alt: str

    @property
    def source(self) -> str:
        """The picture as a data URI."""
        return data_uri(self.jpeg, "jpeg")


@dataclass(frozen=True)
class Gallery:
    """Pictures under one heading."""

    title: str
    about: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Chart:
    """An inline SVG under the name of what it shows, with its class's colour if it is about one."""

    title: str
    svg: Markup
    colour: str | None = None


@dataclass(frozen=True)
class Learnt:
    """What the network was adapted on.

    Attributes:
        sentences: the support set, the network and the method in words.
        classes: (name, CSS colour) of each class.
        sheet: data URI of the support set's contact sheet; None where there is none.
        alt: what the sheet shows.
        course: the support loss over the steps; None where nothing was trained.
    """

    sentences: tuple[str, ...]
    classes: tuple[tuple[str, str], ...]
    sheet: str | None
    alt: str
    course: Chart | None


@dataclass(frozen=True)
class Problems:
    """What a reader has to know before trusting a run.

    Attributes:
        failed: (case, reason).
        skipped: (file, reason).
        warnings: one sentence each.
    """

    failed: tuple[tuple[str, str], ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.failed or self.skipped or self.warnings)


@dataclass(frozen=True)
class Rerun:
    """What it takes to do it again: command lines, then (what, value) rows, then the support images."""

    commands: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    support: Table


@dataclass(frozen=True)
class Page:
    """A whole report, in the order in which it is read.

    Attributes:
        title: its heading.
        note: what must be known of the data; empty if nothing.
        facts: (number, what it counts) for the first glance.
        sentences: the result in plain words.
        learnt: the adaptation.
        problems: failures, skipped files and warnings.
        rerun: how to do it again.
        cases: the table of all cases.
        scores: the table of scores; None where nothing was scored.
        galleries: pictures of cases.
        legend: how the pictures are to be read.
        charts: distributions of scores.
        hidden: how many cases the table of cases leaves out.
        full_table: the file that holds all of them.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    sentences: tuple[str, ...]
    learnt: Learnt
    problems: Problems
    rerun: Rerun
    cases: Table
    note: str = ""
    scores: Table | None = None
    galleries: tuple[Gallery, ...] = ()
    legend: str = ""
    charts: tuple[Chart, ...] = field(default_factory=tuple)
    hidden: int = 0
    full_table: str = ""


def render(page: Page) -> str:
    """The page as one HTML document without any outside resource, all text in it escaped."""
    return _ENVIRONMENT.get_template("report.html").render(page=page)


def to_bytes(document: str) -> bytes:
    """A document as a file's bytes; what a file name may hold and UTF-8 may not becomes a character reference."""
    return document.encode("utf-8", errors="xmlcharrefreplace")


def data_uri(content: bytes, kind: str) -> str:
    """A picture's bytes as the address of an inline image.

    Args:
        content: the file.
        kind: ``jpeg`` or ``png``.
    """
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
