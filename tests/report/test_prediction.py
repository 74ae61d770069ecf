"""The page of a prediction: its sample, what was found in it, every mask."""

from __future__ import annotations

import numpy as np
import pytest

from medtap.adaptation import TapOptions
from medtap.adapters import Lora
from medtap.record import AdaptationRecord
from medtap.report import Problems, learnt_from, prediction_page, rerun, take_picture
from tests.tiny import support_set, tiny_network


def page(found, cases=2, classes=1):
    """A page of some cases, one of them shown."""
    record = AdaptationRecord.of(tiny_network(), support_set(2, classes), Lora(), TapOptions(), [0.5], 1.0)
    masks = {f"case {index}": f"case {index}.png" for index in range(cases)}
    image = np.zeros((1, *found.shape))
    pictures = {"case 0": take_picture(image, found, None, classes)}
    parts = {"learnt": learnt_from(record, None), "problems": Problems(failed=(("x", "broken"),))}
    return prediction_page(record, masks, pictures, **parts, rerun=rerun("predict", {"adapter": "a"}, record, {}))


def notes(made):
    return made.galleries[0].figures[0].notes


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (0, "no class-1 found"),
        (1, "class-1 on less than 0.1 % of the image"),
        (500, "class-1 on 20.0 % of the image"),
    ],
)
def test_shares(pixels, said):
    found = np.zeros(2500, np.uint8)
    found[:pixels] = 1
    assert notes(page(found.reshape(50, 50))) == (said,)


def test_of_a_volume_the_plane_is_named():
    found = np.zeros((10, 10, 6), np.uint8)
    found[:5, :, 1] = 2
    made = page(found, classes=2)
    assert notes(made) == ("no class-1 found", "class-2 on 50.0 % of the plane", "plane 2 of 6")
    assert made.galleries[0].figures[0].alt == (
        "Case case 0, plane 2 of 6: the prediction outlined and shaded, "
        "no class-1 found and class-2 on 50.0 % of the plane."
    )


def test_facts_and_table():
    made = page(np.zeros((4, 4), np.uint8), cases=3)
    assert made.facts[:2] == (("3", "cases segmented"), ("1", "failed"))
    assert list(made.cases.rows) == [(f"case {index}", f"case {index}.png") for index in range(3)]
    assert made.galleries[0].about == "1 of 3 cases, drawn at random by the seed."
    assert page(np.zeros((4, 4), np.uint8), cases=1).galleries[0].about == "All cases."


def test_it_says_that_nothing_was_compared():
    assert "Nothing here says how right the masks are" in page(np.zeros((4, 4), np.uint8)).sentences[0]
