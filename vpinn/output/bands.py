"""Figures that compare several variants of a run, each repeated with several seeds: the median and the range over the seeds.

`ribbons_figure` draws errors against time or work; `scaling_figure` draws values against the batch size beside a power law.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from numpy.typing import NDArray

from vpinn.output.style import ACCENT, FAINT, INK, TRUTH, figure, literal, powers_of_ten

Array = NDArray[np.float64]
COLOURS = (ACCENT, "#e08e0b", TRUTH, "#3a8f5c", "#7a5195", "#8c6d46", "#c2649a", "#5f6f7f")
"""Colours of all variants but the first, which is black; readable with colour blindness. After eight, line styles change."""
DECADES = 2.5
"""Powers of ten shown on the x axis, counted back from its end; before them the error has hardly changed."""
DASHES = ("solid", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 2, 1, 2)))


@dataclass(frozen=True, eq=False)
class Ribbon:
    """The curve of one variant, with its range over the seeds.

    Attributes:
        number: Number of the variant, ≥ 0, which chooses its colour; 0 is the variant that the others are compared with.
        label: Name of the variant in the legend.
        x: Abscissae [m], increasing and > 0.
        low: Smallest values over the seeds [m].
        middle: Medians over the seeds [m].
        high: Largest values over the seeds [m].
    """

    number: int
    label: str
    x: Array
    low: Array
    middle: Array
    high: Array


def ribbons_figure(title: str, panels: Sequence[tuple[str, Sequence[Ribbon]]], y: str, note: str) -> Figure:
    """Return a figure of panels side by side that share a logarithmic y axis, with one legend below.

    Args:
        title: Title of the figure.
        panels: Label of the x axis and curves of every panel.
        y: Label of the y axis.
        note: Explanation of lines and bands, set above the legend.
    """
    shown = figure(5.0 * len(panels), 4.6, title, "constrained")
    axes = shown.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for ax, (x, ribbons) in zip(axes, panels, strict=True):
        for k, ribbon in enumerate(ribbons):
            _ribbon(ax, ribbon, 3.0 - k / len(ribbons))  # the first lies on top
        _logarithmic(ax)
        ax.set_xlabel(x)
        end = max(float(ribbon.x[-1]) for ribbon in ribbons)
        start = min(float(ribbon.x[0]) for ribbon in ribbons)
        ax.set_xlim(min(max(start, end / 10.0**DECADES), end / 10.0), 1.15 * end)
    axes[0].set_ylabel(y)
    _legend(shown, axes[0], note)
    return shown


def scaling_figure(title: str, ribbons: Sequence[Ribbon], y: str, note: str) -> Figure:
    """Return a figure of values against the batch size, with their range as bars, beside the power law b^(−1/2).

    The power law is drawn through the highest point.

    Args:
        title: Title of the figure.
        ribbons: Measured values at a few batch sizes, one curve per group of variants.
        y: Label of the y axis.
        note: Explanation of points and bars, set above the legend.
    """
    shown = figure(6.0, 4.6, title, "constrained")
    axes = shown.subplots()
    ends = np.array([min(r.x[0] for r in ribbons), max(r.x[-1] for r in ribbons)])
    height = max(float((r.middle * (r.x / ends[0]) ** 0.5).max()) for r in ribbons)
    axes.plot(ends, height * (ends / ends[0]) ** -0.5, color=FAINT, linestyle=(0, (4, 3)), linewidth=1.2, label="∝ b$^{-1/2}$")
    for ribbon in ribbons:
        spread = [ribbon.middle - ribbon.low, ribbon.high - ribbon.middle]
        tone, label = colour(ribbon.number), literal(ribbon.label)
        axes.errorbar(ribbon.x, ribbon.middle, spread, color=tone, marker="o", markersize=5, capsize=3, label=label)
    _logarithmic(axes)
    axes.set_xticks(sorted({float(value) for r in ribbons for value in r.x}))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="points per batch b", ylabel=y)
    _legend(shown, axes, note)
    return shown


def colour(number: int) -> str:
    """Return the colour of a variant by its number ≥ 0: black for number 0, then `COLOURS` in turn."""
    return INK if number == 0 else COLOURS[(number - 1) % len(COLOURS)]


def _ribbon(axes: Axes, ribbon: Ribbon, height: float) -> None:
    tone, dash = colour(ribbon.number), DASHES[((ribbon.number - 1) // len(COLOURS)) % len(DASHES)] if ribbon.number else "solid"
    axes.fill_between(ribbon.x, ribbon.low, ribbon.high, color=tone, alpha=0.14, linewidth=0)
    axes.plot(ribbon.x, ribbon.middle, color=tone, linestyle=dash, label=literal(ribbon.label), linewidth=2.0, zorder=height)
    axes.plot(ribbon.x[-1], ribbon.middle[-1], "o", color=tone, markersize=5, clip_on=False, zorder=height)


def _logarithmic(axes: Axes) -> None:
    axes.set(xscale="log", yscale="log")
    axes.grid(True, which="major")
    for axis in (axes.xaxis, axes.yaxis):
        powers_of_ten(axis)
        axis.set_minor_locator(LogLocator(subs=range(2, 10)))
    axes.tick_params(which="minor", color=FAINT)


def _legend(shown: Figure, axes: Axes, note: str) -> None:
    """Add a legend below the figure, in as many columns as fit its width."""
    handles, labels = axes.get_legend_handles_labels()
    longest = max(map(len, labels))
    across = max(1, min(len(labels), int(shown.get_figwidth() * 11.0 // (longest + 8))))
    shown.legend(handles, labels, loc="outside lower center", ncols=across, title=literal(note), title_fontsize="small")
