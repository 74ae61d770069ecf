"""Pieces of charts."""

from __future__ import annotations

from medtap.benchmarks.svg import Axis, rounded_power, text


def test_axis_places_values() -> None:
    axis = Axis(1.0, 3.0, 100.0, 0.0)
    assert [axis.place(value) for value in (1.0, 2.0, 3.0)] == [100.0, 50.0, 0.0]
    assert axis.marks == [1.0, 2.0, 3.0]


def test_axis_around_values_holds_them_even_if_there_is_one() -> None:
    assert Axis.around([0.0, 10.0], 0, 1) == Axis(-1.0, 11.0, 0, 1)
    assert Axis.around([2.0], 0, 1).place(2.0) == 0.5


def test_texts_are_escaped() -> None:
    assert "a &lt; b" in text(0, 0, "a < b")


def test_powers_are_rounded() -> None:
    assert [rounded_power(exponent) for exponent in (-1.0, 1.5, 4.0)] == ["0.1", "32", "10,000"]
