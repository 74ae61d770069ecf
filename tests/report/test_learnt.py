"""The part on the adaptation: classes in their colours, the sheet, the course."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import pytest
from PIL import Image

from medtap.adaptation import TapOptions
from medtap.adapters import Lora
from medtap.record import AdaptationRecord
from medtap.report.learnt import css_colour, learnt_from
from medtap.report.overlay import class_colour
from tests.tiny import support_set, tiny_network


@pytest.fixture
def record():
    return AdaptationRecord.of(tiny_network(), support_set(2, classes=2), Lora(), TapOptions(), [0.5, 0.4], 1.0)


def png(width, height):
    file = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(file, format="PNG")
    return file.getvalue()


@pytest.mark.parametrize(("width", "shown"), [(900, (900, 300)), (2800, (1400, 150))])
def test_the_sheet_is_inline_and_no_wider_than_a_page(record, width, shown):
    uri = learnt_from(record, png(width, 300)).sheet
    head, _, content = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(content))).size == shown


def test_without_a_sheet_or_steps(record):
    learnt = learnt_from(replace(record, losses=()), None)
    assert (learnt.sheet, learnt.course) == (None, None)


def test_classes_have_the_colours_of_the_pictures(record):
    assert learnt_from(record, None).classes == (("class-1", css_colour(1)), ("class-2", css_colour(2)))
    assert tuple(bytes.fromhex(css_colour(2)[1:])) == class_colour(2)
