"""Bands over seeds: how errors fall for several ways to solve one problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from vpinn.output.style import ACCENT, FAINT, INK, TRUTH, figure

Array = NDArray[np.float64]
COLOURS = (ACCENT, "#e08e0b", TRUTH, "#3a8f5c", "#7a5195", "#8c6d46", "#c2649a", "#5f6f7f")
"""Of what is held against the first, which is drawn in ink; told apart by colour-blind eyes, and by line style after eight."""
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
        for ribbon in ribbons:
            _ribbon(ax, ribbon)
        _logarithmic(ax)
        ax.set_xlabel(x)
    axes[0].set_ylabel(y)
    handles, labels = axes[0].get_legend_handles_labels()
    shown.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), title=note, title_fontsize="small")
    return shown


def colour(number: int) -> str:
    """Return the colour of a variant: ink for the first."""
    return INK if number == 0 else COLOURS[(number - 1) % len(COLOURS)]


def _ribbon(axes: Axes, ribbon: Ribbon) -> None:
    tone, dash = colour(ribbon.number), DASHES[((ribbon.number - 1) // len(COLOURS)) % len(DASHES)] if ribbon.number else "solid"
    axes.fill_between(ribbon.x, ribbon.low, ribbon.high, color=tone, alpha=0.15, linewidth=0)
    axes.plot(ribbon.x, ribbon.middle, color=tone, linestyle=dash, label=ribbon.label)
    axes.plot(ribbon.x[-1], ribbon.middle[-1], "o", color=tone, markersize=4)


def _logarithmic(axes: Axes) -> None:
    axes.set(xscale="log", yscale="log")
    axes.grid(True, which="major")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(LogLocator(subs=range(2, 10)))
        axis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="minor", color=FAINT)
