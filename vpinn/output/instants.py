"""The figures of a run of a problem in time: snapshots, space–time diagram (in one dimension) and error over time.

Start from `draw_in_time`; it is the counterpart of `vpinn.output.figures.draw` for steady problems.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vpinn.march import MarchedSolution
from vpinn.output.conditions import conditions_figure
from vpinn.output.convergence import convergence_figure
from vpinn.output.curves import Line
from vpinn.output.figures import components_of, error_figure, fields_figure, make_scene, solution_figure, write_figures
from vpinn.output.scene import Scene
from vpinn.output.style import ACCENT, INK, TRUTH, colours, figure, powers_of_ten, styled
from vpinn.output.vectors import vector_figure
from vpinn.solution_in_time import SolutionInTime

Array = NDArray[np.float64]
SNAPSHOTS = 5
"""Number of instants in a row of snapshots."""
ACROSS = 201
"""Number of instants at which a field is evaluated for a space–time diagram."""
MOST = 4
"""Largest number of components in a figure, one row each."""
EVEN = 1e-9
"""Variation of a field over an interval, relative to its largest value, up to which it is the same everywhere."""
FLOOR = 1e-17
"""Relative error as which smaller ones, zero included, are drawn on a logarithmic axis."""


def draw_in_time(solution: MarchedSolution, directory: Path) -> list[Path]:
    """Draw the figures of a solution in time as png files.

    Args:
        solution: The solution to draw.
        directory: Folder of the figures; created if it does not exist.

    Returns:
        Paths of the files written: solution.png (at the last instant, or over time if it is the same everywhere), snapshots.png,
        and error.png, time.png and convergence.png if the data exist.

    Raises:
        StorageError: A file could not be written.
    """
    with styled():
        scene = make_scene(solution.problem.domain)
        drawn = {
            "conditions": conditions_figure(solution.posed),
            **_fields(solution, scene),
            "fields": fields_figure(solution, scene),
            "vector": vector_figure(solution, scene),
            "error": error_figure(solution, scene),
            "time": _error_over_time(solution),
            "quantities": _quantities_over_time(solution),
            "convergence": convergence_figure(solution),
        }
        return write_figures(drawn, directory)


def _fields(solution: MarchedSolution, scene: Scene) -> dict[str, Figure]:
    """Return the figures of the unknowns."""
    if not isinstance(scene, Line):
        return {"solution": solution_figure(solution, scene), "snapshots": _snapshots(solution, scene)}
    if (course := _course(solution)) is not None:
        return {"solution": course}
    return {"solution": solution_figure(solution, scene), "snapshots": _space_and_time(solution)}


def draw_snapshots(solution: SolutionInTime, directory: Path) -> list[Path]:
    """Draw snapshots.png, the field at a few instants, and return its path."""
    with styled():
        return write_figures({"snapshots": _snapshots(solution, make_scene(solution.posed.domain))}, directory)


def _snapshots(solution: SolutionInTime, scene: Scene) -> Figure:
    """Return a figure with one row per component: the field at a few instants, with one colour scale."""
    chosen = np.unique(np.linspace(0, len(solution.times) - 1, SNAPSHOTS).round().astype(int))
    times = [solution.times[k] for k in chosen]
    fields = [components_of(solution.snapshot(t).at(scene.points)) for t in times]
    names = list(fields[0])[:MOST]
    width, height = scene.size
    scale = min(1.0, 3.0 / width) if scene.panels == 1 else 1.0
    columns = len(times) * scene.panels
    shown = figure(columns * width * scale, len(names) * height * scale + 0.6, solution.posed.title)
    grid = shown.subplots(len(names), columns, squeeze=False)
    for name, axes in zip(names, grid, strict=True):
        tones = colours(np.concatenate([field[name] for field in fields]))
        for k, (t, field) in enumerate(zip(times, fields, strict=True)):
            row = list(axes[k * scene.panels : (k + 1) * scene.panels])
            painted = scene.draw(row, field[name], tones)
            row[0].set_title(f"{name}, t = {t:.4g}")
        if painted is not None:  # curves have no colours
            shown.colorbar(painted, ax=list(axes), aspect=30, pad=0.01).outline.set_visible(False)
    return shown


def _over_interval(solution: MarchedSolution) -> tuple[list[str], Array, Array, Array]:
    """Return names of components, instants [T], places on an interval [n], and the components there [components, T, n]."""
    problem, stage = solution.march
    scene = make_scene(problem.domain)
    order = np.argsort(scene.points.x[:, 0])
    field, x = stage.at(scene.points), scene.points.x[order, 0]
    times = np.linspace(stage.marched.course.breaks[0], stage.marched.course.end, ACROSS)
    whole = np.stack([field(float(t))[:, 0] for t in times], axis=1)[:, :, order]
    return list(components_of(solution.at(scene.points)))[:MOST], times, x, whole


def _course(solution: MarchedSolution) -> Figure | None:
    """Return a figure of components over time, for ordinary differential equations; None if a field varies along an interval."""
    names, times, _, whole = _over_interval(solution)
    if (np.ptp(whole, axis=2) > EVEN * np.abs(whole).max(axis=(1, 2))[:, None]).any():
        return None
    shown = figure(6.5, 1.9 * len(names) + 0.6, solution.posed.title)
    grid = shown.subplots(len(names), sharex=True, squeeze=False)[:, 0]
    for name, values, axes in zip(names, whole, grid, strict=False):
        axes.plot(times, values[:, 0], color=ACCENT)
        axes.set_ylabel(name)
        axes.grid(True)
    grid[-1].set_xlabel("t")
    return shown


def _space_and_time(solution: MarchedSolution) -> Figure:
    """Return a figure for an interval, one row per component: the field over t and x, and curves over x at a few instants."""
    names, times, x, whole = _over_interval(solution)
    shown = figure(10.0, 3.2 * len(names) + 0.4, solution.posed.title)
    grid = shown.subplots(len(names), 2, squeeze=False)
    for name, values, (left, right) in zip(names, whole, grid, strict=False):
        tone, norm = colours(values)
        painted = left.pcolormesh(times, x, values.T, cmap=tone, norm=norm, shading="gouraud", rasterized=True)
        left.set(xlabel="t", ylabel="x", title=name)
        shown.colorbar(painted, ax=left, aspect=30, pad=0.02).outline.set_visible(False)
        chosen = np.linspace(0, ACROSS - 1, SNAPSHOTS).round().astype(int)
        for number, k in enumerate(chosen):
            right.plot(x, values[k], color=ACCENT, alpha=0.25 + 0.75 * number / (SNAPSHOTS - 1), label=f"t = {times[k]:.3g}")
        right.set(xlabel="x", title=name)
        right.legend(loc="best", fontsize=8)
    return shown


def _quantities_over_time(solution: MarchedSolution) -> Figure | None:
    """Return a figure of every quantity over time, with a band as wide as its error; None if there are no quantities."""
    found = solution.metrics.get("quantities", {})
    if not found:
        return None
    shown = figure(6.5, 2.4 * len(found) + 0.4, "Quantities over time")
    for name, known, axes in zip(found, found.values(), shown.subplots(len(found), squeeze=False)[:, 0], strict=True):
        t, value = np.array(known["times"]), np.array(known["values"])
        axes.plot(t, value, color=INK, marker="o", markersize=3)
        if None not in known["errors"]:
            error = np.array(known["errors"])
            axes.fill_between(t, value - error, value + error, color=ACCENT, alpha=0.3, linewidth=0)
        axes.set(xlabel="t", ylabel=name)
        axes.grid(True)
    return shown


def _error_over_time(solution: MarchedSolution) -> Figure | None:
    """Return a figure of the error estimate over time, with the true error if known; None if there is no estimate."""
    told = solution.metrics.get("estimate_over_time")
    if not told:
        return None
    shown = figure(6.5, 3.4, "Error over time")
    axes = shown.subplots()
    curves = [(told, INK, "estimate"), (solution.error_estimate.get("true_over_time"), TRUTH, "error")]
    for curve, colour, label in curves:
        if curve:
            t, value = np.array(curve).T
            axes.semilogy(t, np.maximum(value, FLOOR), color=colour, label=label)
    axes.set(xlabel="t", ylabel="relative L² distance")
    powers_of_ten(axes.yaxis)
    axes.grid(True)
    axes.legend(loc="best")
    return shown
