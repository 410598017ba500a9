"""The convergence figure of a run: loss and error against steps and against seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from vpinn.features import Elements, LeastSquares, March
from vpinn.optimization import COLUMNS
from vpinn.output.style import ACCENT, FAINT, INK, TRUTH, figure, powers_of_ten
from vpinn.solution import Solution

Array = NDArray[np.float64]
WINDOW = 0.02
"""Length of the moving average over a mini-batch loss, as a share of the steps of the run."""
STAGED = (LeastSquares.name, Elements.name, March.name)
"""Methods that work in stages."""


@dataclass(frozen=True, eq=False)
class Trace:
    """A quantity recorded during training, as a curve.

    Attributes:
        label: Name in the legend.
        step: Step after which each value was recorded [m].
        seconds: Training time at that step [m], in s.
        value: Values to draw [m].
        colour: Colour of the line.
        marked: Whether values are marked by dots where there are at most 60, since they were not measured in every step.
        raw: The noisy values [m] whose moving average ``value`` is, drawn behind it; None if ``value`` is not smoothed.
        points: Number of quadrature points at each step [m], if values at other points cannot be compared, such as residuals with
            other test functions: they are not joined by a line. None if all can.
    """

    label: str
    step: Array
    seconds: Array
    value: Array
    colour: str
    marked: bool = False
    raw: Array | None = None
    points: Array | None = None


def convergence_figure(solution: Solution) -> Figure | None:
    """Return the convergence figure of a run; None if the run has fewer than two steps or recorded nothing to draw."""
    history, method = _history(solution), solution.metrics.get("method", "")
    if len(history) < 2:
        return None
    columns = dict(zip(COLUMNS, history.T, strict=True))
    rows: list[tuple[str, Sequence[Trace]]] = []
    if np.isfinite(columns["loss"]).sum() > 1:
        loss, axis = _loss(columns, solution)
        rows.append((axis, [loss]))
    batch = solution.metrics.get("batch_size", "full")
    staged = method in STAGED
    measures = (
        ("error", "relative L² error", TRUTH),
        ("estimate", "relative error estimate", INK),
        ("residual", "residual, relative to that without features", FAINT),
    )
    watched = [_watched(columns, name, label, colour, staged) for name, label, colour in measures]
    watched = [course for course in watched if len(course.step) > 1]
    if watched:
        together = "relative error and residual" if any(course.colour == FAINT for course in watched) else "relative error"
        rows.append((watched[0].label if len(watched) == 1 else together, watched))
    if not rows:
        return None
    drawn = "all points in every step" if batch == "full" else f"{batch} points per step"
    title = f"Convergence of {method}" + ("" if method == Elements.name else f", {drawn}")
    shown = figure(9.0, 3.1 * len(rows) + 0.4, title)
    axes = shown.subplots(len(rows), 2, sharex="col", sharey="row", squeeze=False)
    for (label, courses), pair in zip(rows, axes, strict=True):
        for ax, unit in zip(pair, ("step", "seconds"), strict=True):
            for course in courses:
                _draw(ax, course, unit)
            ax.grid(True)
        pair[0].set_ylabel(label)
        if len(courses) > 1 or courses[0].raw is not None:
            pair[1].legend(loc="best")
    for ax, name in zip(axes[-1], ("stage" if staged else "step", "time in s"), strict=True):
        ax.set_xlabel(name)
    axes[-1][0].xaxis.set_major_locator(MaxNLocator(integer=True))
    return shown


def _history(solution: Solution) -> Array:
    """Return the history [steps, columns]; if the run ended with finite elements, without stages of random features before."""
    if solution.metrics.get("method") != Elements.name:
        return solution.history
    return solution.history[np.isnan(solution.history[:, COLUMNS.index("residual")])]


def _loss(columns: dict[str, Array], solution: Solution) -> tuple[Trace, str]:
    """Return the curve of the loss and the label of its axis.

    The loss of mini-batches is smoothed. A loss over all points that is an energy, or not positive everywhere, is drawn as the
    difference from its least value, so that a logarithmic axis can show it.
    """
    there = np.isfinite(columns["loss"])
    step, seconds, loss = columns["step"][there], columns["seconds"][there], columns["loss"][there]
    noisy = solution.metrics.get("batch_size", "full") != "full"
    value = _smooth(loss) if noisy else loss
    name, raw = "loss", loss if noisy else None
    if (loss.min() <= 0.0 or _is_energy(solution)) and not noisy:
        least = solution.metrics.get("loss")
        value, name = loss - min(float(loss.min()), np.inf if least is None else least), "loss above its least value"
    label = f"mean of {_width(len(loss))} steps" if noisy else "loss"
    points = columns["batch_size"][there] if solution.metrics.get("method") in STAGED else None
    return Trace(label, step, seconds, value, ACCENT, marked=points is not None, raw=raw, points=points), name


def _watched(columns: dict[str, Array], name: str, label: str, colour: str, staged: bool) -> Trace:
    """Return the curve of a quantity that is not measured in every step, through the steps with a value."""
    there = np.isfinite(columns[name])
    points = columns["batch_size"][there] if staged and name == "residual" else None
    return Trace(
        label, columns["step"][there], columns["seconds"][there], columns[name][there], colour, marked=True, points=points
    )


def _draw(axes: Axes, course: Trace, unit: str) -> None:
    x = course.step if unit == "step" else course.seconds
    positive = course.value > 0.0
    logarithmic = bool(positive.any() and (positive.mean() > 0.9))
    if course.raw is not None:
        axes.plot(x, course.raw, color=FAINT, linewidth=0.5, alpha=0.5, label="single batches", rasterized=True)
        low, high = np.quantile(course.raw, [0.005, 0.98])
        if not logarithmic:
            axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    shown = np.where(positive, course.value, np.nan) if logarithmic else course.value
    marker = "o" if course.marked and len(x) <= 60 else ""
    if course.points is not None:
        changes = np.flatnonzero(np.diff(course.points)) + 1
        x, shown = np.insert(x, changes, np.nan), np.insert(shown, changes, np.nan)
    axes.plot(x, shown, color=course.colour, marker=marker, markersize=3.5, label=course.label)
    if logarithmic:
        axes.set_yscale("log")
        powers_of_ten(axes.yaxis)


def _width(steps: int) -> int:
    """Return the number of steps in the moving average: `WINDOW` of the run, but at least ten if there are as many."""
    return max(min(10, steps), round(WINDOW * steps))


def _smooth(values: Array) -> Array:
    """Return the moving average over the last `_width` values, or over all values so far where there are fewer."""
    width = _width(len(values))
    total = np.concatenate([[0.0], np.cumsum(values)])
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - width, 0)
    mean: Array = (total[end] - total[start]) / (end - start)
    return mean


def _is_energy(solution: Solution) -> bool:
    """Return whether the loss is an energy, whose minimum is not zero; least squares minimises a residual even for an energy."""
    return not solution.problem.formulation.squared and solution.metrics.get("method") != "least-squares"
