"""A stream of cases: what medtap refuses fails a case, anything else ends the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from medtap.datasets import Case, CaseList
from medtap.errors import InputError, OutputError
from medtap.workflows.stream import CaseStream, Failure, case_items


def test_items_name_image_and_mask():
    cases = CaseList((Case("a/b", Path("a/b.png"), Path("m/b.png"), resize_mask=True), Case("c", Path("c.nii.gz"))))
    assert case_items(cases) == [
        {"name": "a/b", "image": "a/b.png", "resize_mask": True, "label": "m/b.png"},
        {"name": "c", "image": "c.nii.gz", "resize_mask": False},
    ]


def test_a_series_is_the_list_of_its_files():
    case = Case("series", Path("1.dcm"), files=(Path("1.dcm"), Path("2.dcm")))
    assert case_items(CaseList((case,)))[0]["image"] == ["1.dcm", "2.dcm"]


def test_nothing_to_segment_is_refused():
    with pytest.raises(InputError, match="empty: there is nothing to segment; name a folder with images"):
        case_items(CaseList(()), "empty")


def refuse_b(item):
    """Refuse the second case the way MONAI's transforms do: wrapped in an error of their own."""
    if item["name"] == "b":
        try:
            raise InputError("the file is empty", file="b.png")
        except InputError as error:
            raise RuntimeError("applying transform") from error
    return item


ITEMS = [{"name": name, "image": f"{name}.png"} for name in "abc"]


def test_a_refused_case_is_recorded_and_the_others_come():
    stream = CaseStream(ITEMS, refuse_b)
    assert [item["name"] for item in stream] == ["a", "c"]
    assert stream.failures == [Failure("b", Path("b.png"), "b.png: the file is empty")]


def test_failures_go_into_the_list_given():
    failures = []
    list(CaseStream(ITEMS, refuse_b, failures))
    assert [failure.case for failure in failures] == ["b"]


def test_items_are_not_changed():
    list(CaseStream(ITEMS, lambda item: item | {"image": None}))
    assert ITEMS[0]["image"] == "a.png"


def test_other_errors_end_the_run():
    def fail(item):
        raise ZeroDivisionError(item["name"])

    with pytest.raises(ZeroDivisionError, match="a"):
        list(CaseStream(ITEMS, fail))


def test_errors_of_another_kind_than_asked_for_end_the_run():
    def fail(item):
        raise OutputError("no space is left", file=item["name"])

    stream = CaseStream(ITEMS, fail)
    with pytest.raises(OutputError, match="no space is left"):
        stream.attempt(fail, ITEMS[0], InputError)
    assert stream.failures == []


def test_of_a_failed_series_the_file_that_is_wrong_is_told():
    def fail(_):
        raise InputError("a slice is missing", file="series/2.dcm")

    stream = CaseStream([], fail)
    stream.attempt(fail, {"name": "series", "image": ["series/1.dcm", "series/2.dcm"]})
    assert stream.failures[0].file == Path("series/2.dcm")
