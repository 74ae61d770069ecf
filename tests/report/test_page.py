"""The HTML itself: whole, self-contained, escaped, for everybody's eyes and ears."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medtap.report.charts import loss_curve, score_histogram
from medtap.report.page import Chart, Figure, Gallery, Learnt, Page, Problems, Rerun, Table, data_uri, render, to_bytes
from medtap.report.pictures import take_picture
from tests.report.html_page import HtmlPage
from tests.tiny import random_images, random_masks

NASTY = "<script>alert(1)</script>\"' onerror=x &amp; {{ 7 * 7 }}"


def small_page(name="case"):
    """A page that has every part, each with a name in it."""
    picture = take_picture(random_images(1)[0].numpy(), random_masks(1)[0].numpy(), None, 1).draw(1)
    figure = Figure(picture, name, (name,), f"picture of {name}")
    return Page(
        title=name,
        note=name,
        facts=(("1", name),),
        sentences=(name,),
        learnt=Learnt((name,), ((name, "#40c4ff"),), data_uri(picture, "jpeg"), name, Chart(name, loss_curve([1.0]))),
        problems=Problems(((name, name),), ((name, name),), (name,)),
        rerun=Rerun((name,), ((name, name),), Table(name, (name,), [(name,)])),
        cases=Table(name, (name, name), [(name, name)]),
        scores=Table(name, (name, name), [(name, name)], True),
        galleries=(Gallery(name, name, (figure,)),),
        legend=name,
        charts=(Chart(name, score_histogram(name, [0.5]), "#40c4ff"),),
        hidden=3,
        full_table=name,
    )


@pytest.fixture(scope="module")
def parsed():
    return HtmlPage(render(small_page()))


def test_every_tag_is_closed(parsed):
    assert parsed.mistakes == []
    assert render(small_page()).startswith("<!DOCTYPE html>")


def test_nothing_is_loaded_from_elsewhere(parsed):
    assert parsed.loads
    assert all(value.startswith("data:image/") for value in parsed.loads)
    document = render(small_page())
    assert not any(word in document for word in ("http:", "https:", "//cdn", "@import", "url(", "<script", "<link"))


def test_a_browser_is_told_to_load_nothing(parsed):
    policies = [found["content"] for tag, found in parsed.tags if found.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_pictures_decode_and_have_words(parsed):
    assert {picture.size for picture in parsed.pictures()} == {(384, 384)}
    assert all(found["alt"] for tag, found in parsed.tags if tag == "img")
    charts = [found for tag, found in parsed.tags if tag == "svg"]
    assert len(charts) == 2
    assert all(found["role"] == "img" and found["aria-label"] for found in charts)


def test_language_headings_and_tables_are_marked_up(parsed):
    assert ("html", {"lang": "en"}) in parsed.tags
    assert [tag for tag, _ in parsed.tags if tag == "h1"] == ["h1"]
    assert all(found.get("scope") in ("col", "row") for tag, found in parsed.tags if tag == "th")
    names = {found["id"] for tag, found in parsed.tags if tag == "h2"}
    assert {found["aria-labelledby"] for tag, found in parsed.tags if tag == "section"} == names


def test_a_nasty_name_is_only_text():
    document = render(small_page(NASTY))
    page = HtmlPage(document)
    assert page.mistakes == []
    assert page.text.count("<script>alert(1)</script>\"' onerror=x &amp; {{ 7 * 7 }}") > 15
    assert "<script" not in document
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in HtmlPage(render(small_page())).tags]
    assert not any("onerror" in found for _, found in page.tags)


def test_names_that_are_no_utf8_can_be_written():
    name = b"caf\xe9".decode("utf-8", errors="surrogateescape")
    assert "caf&#56553;" in to_bytes(render(small_page(name))).decode()


def test_parts_that_are_empty_are_left_out():
    bare = replace(
        small_page(),
        note="",
        problems=Problems(),
        scores=None,
        galleries=(),
        charts=(),
        hidden=0,
        learnt=Learnt(("x",), (), None, "", None),
    )
    page = HtmlPage(render(bare))
    assert [found["id"] for tag, found in page.tags if tag == "h2"] == ["result", "learnt", "all", "again"]
    assert page.mistakes == []
    assert "There is no picture of the support set" in page.text


def test_style_suits_dark_screens_paper_and_phones():
    document = render(small_page())
    for query in ("prefers-color-scheme: dark", "@media print", "max-width: 34rem"):
        assert query in document


def test_same_page_same_bytes():
    assert to_bytes(render(small_page())) == to_bytes(render(small_page()))
