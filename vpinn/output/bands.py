"""Bands over seeds: how errors fall for several ways to solve one problem."""

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
"""Of what is held against the first, which is drawn in ink; told apart by colour-blind eyes, and by line style after eight."""
DECADES = 2.5
"""Of the abscissa that are shown, the last ones: before, nothing has been learnt."""
DASHES = ("solid", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 2, 1, 2)))


@dataclass(frozen=True, eq=False)
class Ribbon:
    """One curve with its spread.

    Attributes:
        number: of what it belongs to, which fixes its colour.
        label: of what it belongs to.
        x: abscissae [m].
        low: least values [m].
        middle: medians [m].
        high: largest values [m].
    """

    number: int
    label: str
    x: Array
    low: Array
    middle: Array
    high: Array


def ribbons_figure(title: str, panels: Sequence[tuple[str, Sequence[Ribbon]]], y: str, note: str) -> Figure:
    """Return panels side by side on one logarithmic scale, with one legend below.

    Args:
        title: of the figure.
        panels: abscissa and curves of each.
        y: what is drawn.
        note: what the bands are.
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


def scaling_figure(title: str, ribbons: Sequence[Ribbon], x: str, y: str, slope: float, law: str, note: str) -> Figure:
    """Return measured points, with their spread as bars, beside the power law that is expected.

    Args:
        title: of the figure.
        ribbons: values at few abscissae.
        x: abscissa.
        y: what is drawn.
        slope: exponent of the law.
        law: its label.
        note: what the bars are.
    """
    shown = figure(6.0, 4.6, title, "constrained")
    axes = shown.subplots()
    ends = np.array([min(r.x[0] for r in ribbons), max(r.x[-1] for r in ribbons)])
    height = max(float((r.middle * (r.x / ends[0]) ** -slope).max()) for r in ribbons)
    axes.plot(ends, height * (ends / ends[0]) ** slope, color=FAINT, linestyle=(0, (4, 3)), linewidth=1.2, label=law)
    for ribbon in ribbons:
        spread = [ribbon.middle - ribbon.low, ribbon.high - ribbon.middle]
        tone, label = colour(ribbon.number), literal(ribbon.label)
        axes.errorbar(ribbon.x, ribbon.middle, spread, color=tone, marker="o", markersize=5, capsize=3, label=label)
    _logarithmic(axes)
    axes.set_xticks(sorted({float(value) for r in ribbons for value in r.x}))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel=x, ylabel=y)
    _legend(shown, axes, note)
    return shown


def colour(number: int) -> str:
    """Return the colour of a variant: ink for the first."""
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
    """Name the curves below the figure, in the order of the variants."""
    handles, labels = axes.get_legend_handles_labels()
    longest = max(map(len, labels))
    across = max(1, min(len(labels), int(shown.get_figwidth() * 11.0 // (longest + 8))))
    shown.legend(handles, labels, loc="outside lower center", ncols=across, title=literal(note), title_fontsize="small")
