"""Test figures of many runs: all curves, in the order and colours of the variants, on readable axes."""

from __future__ import annotations

import numpy as np
import pytest

from vpinn.output.bands import COLOURS, Ribbon, colour, ribbons_figure, scaling_figure
from vpinn.output.figures import png
from vpinn.output.style import styled


def ribbon(number: int, x: np.ndarray, scale: float = 1.0) -> Ribbon:
    middle = scale / x
    return Ribbon(number, f"variant {number}", x, 0.5 * middle, middle, 2.0 * middle)


@pytest.mark.parametrize("count", [1, 14])
def test_every_variant_has_its_curve(count: int) -> None:
    x = np.geomspace(0.01, 20.0, 50)
    ribbons = [ribbon(k, x, 1.0 + k) for k in range(count)]
    with styled():
        shown = ribbons_figure("$1 & two", [("time in s", ribbons), ("evaluations", ribbons)], "error", "one seed")
        assert count > 1 or len(png(shown)) > 10_000
    left, right = shown.axes
    assert left.get_xlabel() == "time in s"
    assert len(left.collections) == count
    assert [text.get_text() for text in shown.legends[0].get_texts()] == [r.label for r in ribbons]
    assert left.get_xlim() == pytest.approx((20.0 / 10**2.5, 23.0))
    assert right.get_ylim() == left.get_ylim()


def test_a_short_axis_still_spans_a_decade() -> None:
    x = np.linspace(3.0, 4.0, 5)
    with styled():
        shown = ribbons_figure("title", [("time", [ribbon(0, x)])], "error", "one seed")
    assert shown.axes[0].get_xlim() == pytest.approx((0.4, 4.6))


def test_the_first_is_ink_and_eight_others_differ() -> None:
    assert len({colour(k) for k in range(9)}) == 9
    assert colour(9) == colour(1) == COLOURS[0]


def test_a_law_lies_above_what_is_measured() -> None:
    sizes = np.array([16.0, 64.0, 256.0])
    measured = Ribbon(1, "uniform", sizes, 0.9 / np.sqrt(sizes), 1.0 / np.sqrt(sizes), 1.1 / np.sqrt(sizes))
    with styled():
        shown = scaling_figure("title", [measured], "fluctuation", "three seeds")
        shown.canvas.draw()
    axes = shown.axes[0]
    law = axes.lines[0]
    np.testing.assert_allclose(np.asarray(law.get_ydata()), 1.0 / np.sqrt([16.0, 256.0]), rtol=1e-12)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["16", "64", "256"]
