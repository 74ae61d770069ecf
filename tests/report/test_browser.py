"""The page in a real browser: what it shows when nobody has a network or JavaScript."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from medtap.report.page import render, to_bytes
from tests.report.test_page import small_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]


@pytest.fixture
def screenshot(tmp_path):
    """A function (page, width) -> pixels [3000, width, 3] of a browser's window."""

    def take(page, width):
        (tmp_path / "report.html").write_bytes(to_bytes(render(page)))
        picture, profile = tmp_path / "shot.png", tmp_path / "profile"
        window = [f"--window-size={width},3000", f"--user-data-dir={profile}", f"--screenshot={picture}"]
        address = (tmp_path / "report.html").as_uri()
        subprocess.run([CHROMIUM, *FLAGS, *window, address], check=True, capture_output=True, timeout=120)
        return np.asarray(Image.open(picture).convert("RGB")).astype(int)

    return take


def coloured(pixels, colour):
    """How many pixels have a colour, nearly."""
    return int((np.abs(pixels - colour).max(axis=-1) < 12).sum())


@pytest.mark.parametrize("width", [1280, 500])
def test_pictures_charts_and_text_are_there(screenshot, width):
    page = small_page()
    shown = screenshot(page, width)
    hidden = screenshot(_without_pictures(page), width)
    assert (shown != hidden).any(axis=-1).sum() > 100 * 100
    assert coloured(shown, (90, 165, 221)) > 300  # the bar of the histogram
    assert coloured(shown, (29, 36, 48)) > 500  # text
    assert coloured(shown, (255, 255, 255)) > 100_000  # cards


def test_nothing_sticks_out_of_a_phone(screenshot):
    """At the right edge there is nothing but the page's own background, down to the end."""
    shown = screenshot(small_page("a_long_name_without_any_space_in_it_" * 4), 500)
    assert coloured(shown[:, -6:], (244, 245, 247)) == shown[:, -6:].shape[0] * 6


def _without_pictures(page):
    return replace(page, galleries=(), learnt=replace(page.learnt, sheet=None))
