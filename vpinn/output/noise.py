"""Output of ``vpinn noise``: the table of findings, figures, noise.json and recommendation.toml. Start from `publish_noise`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, ScalarFormatter
from rich.table import Table
from rich.text import Text

from vpinn.noise import Curve, NoiseReport
from vpinn.output.figures import png
from vpinn.output.page import write_summary
from vpinn.output.style import ACCENT, FAINT, INK, TRUTH, figure, literal, styled
from vpinn.storage import inside, write_atomic
from vpinn.text import escaped

COLOURS = (ACCENT, TRUTH, "#2a9d5c", "#e39b2b", "#7b5ea7", INK, FAINT)
HEADER = ("item", "quantity", "predicted", "measured", "verdict")


@dataclass(frozen=True)
class Panel:
    """Description of one figure of a noise report.

    Attributes:
        file: Name of the figure's file, without suffix.
        curves: Name of the curve in `NoiseReport.curves` to draw; if it ends in ": ", all curves whose names begin so.
        title: Title of the figure.
        x: Label of the x axis.
        y: Label of the y axis.
        scales: Scales of x and y axis, "log" or "linear".
        joined: Whether measured values are joined by a line, without error bars.
        label: Name of the measured values in the legend.
        placed: Whether predicted values are drawn as markers instead of lines, since the theory gives none between the abscissae.
    """

    file: str
    curves: str
    title: str
    x: str
    y: str
    scales: tuple[str, str] = ("log", "log")
    joined: bool = False
    label: str = "measured ± 2 standard errors"
    placed: bool = False


PANELS = (
    Panel(
        "noise_scale",
        "noise scale",
        "Noise scale over training",
        "step",
        "tr Σ/‖g‖², points",
        ("linear", "log"),
        True,
        "measured",
    ),
    Panel(
        "variance",
        "variance: ",
        "Variance of the gradient by sampler (lines: theory)",
        "points per batch b",
        "tr Cov of the gradient",
    ),
    Panel(
        "progress",
        "progress",
        "Progress of one step",
        "points per batch b",
        "decrease of J, relative to a full-gradient step",
        ("log", "linear"),
    ),
    Panel(
        "clipping",
        "clipping",
        "Clipped gradients",
        "threshold C of the norm",
        "mean-squared error of the gradient",
        ("log", "log"),
        True,
        "measured",
    ),
    Panel(
        "steady_state",
        "steady",
        "Steady state along stiff eigenvectors",
        "curvature λ of the eigenvector",
        "mean squared distance",
        placed=True,
    ),
    Panel("exploration", "exploration", "Exploration around the minimum", "step size over batch, η/b", "mean squared distance"),
    Panel(
        "langevin",
        "langevin",
        "Density of mini-batch steps and Gibbs measure",
        "distance along the stiffest direction",
        "density",
        ("linear", "linear"),
    ),
    Panel("fluctuation", "fluctuation", "Fluctuation of the mini-batch loss", "points per batch b", "standard deviation of J"),
    Panel("adam", "adam", "Size of Adam's steps", "points per batch b", "mean step over learning rate"),
    Panel("seconds", "seconds", "Time to equal progress", "points per batch b", "seconds to the progress of a full step"),
    Panel(
        "sharpness",
        "sharpness",
        "Sharpness of the minimum that training ends in",
        "step size over batch size before, η/b",
        "largest eigenvalue of the Hessian",
        ("log", "linear"),
    ),
    Panel(
        "unseen_loss",
        "unseen",
        "Loss on points not used in training",
        "step size over batch size before, η/b",
        "J on unused points",
        ("log", "linear"),
    ),
    Panel(
        "solution_error",
        "solution",
        "Error of the solution at the end of training",
        "step size over batch size before, η/b",
        "relative L² error",
    ),
    Panel(
        "search",
        "search",
        "Population search at equal evaluations",
        "evaluations of J (a gradient counts as three)",
        "smallest J − J* so far",
        ("linear", "log"),
        True,
        "CMA-ES",
    ),
)
"""The figures of a noise report, in the order they are drawn."""


def publish_noise(report: NoiseReport, folder: Path) -> list[Path]:
    """Write noise.json, recommendation.toml, the figures and report.html of a noise report.

    Args:
        report: The report to write.
        folder: Folder to write into; created if it does not exist.

    Returns:
        Paths of the files written.

    Raises:
        StorageError: A file could not be written.
    """
    files = {"noise.json": json.dumps(report.as_dict(), indent=1).encode(), "recommendation.toml": report.recommendation.encode()}
    with styled():
        for panel in PANELS:
            if (shown := draw_panel(panel, report)) is not None:
                files[f"figures/{panel.file}.png"] = png(shown)
    for name, content in files.items():
        write_atomic(inside(folder, name), content)
    figures = [folder / name for name in files if name.endswith(".png")]
    failing = [finding.quantity for finding in report.findings if finding.verdict.startswith("fails")]
    some = f"{len(failing)} of {len(report.findings)} predictions fail: {', '.join(failing)}."
    told = [some if failing else f"None of {len(report.findings)} predictions fails."]
    title = report.title or "Noise of mini-batches"
    page = write_summary(folder, title, told, not failing, [noise_table(report)], figures, report.recommendation)
    return [*(folder / name for name in files), page]


def draw_panel(panel: Panel, report: NoiseReport) -> Figure | None:
    """Return one figure of a report; None if the report has none of its curves."""
    every = panel.curves.endswith(": ")
    found = {
        name.removeprefix(panel.curves) if every else panel.label: curve
        for name, curve in report.curves.items()
        if (name.startswith(panel.curves) if every else name == panel.curves) and len(curve.x)
    }
    if not found:
        return None
    shown = figure(5.6, 3.6, panel.title, "constrained")
    axes = shown.subplots()
    for k, (name, curve) in enumerate(found.items()):
        _draw(axes, name, curve, COLOURS[k % len(COLOURS)], panel, every)
    axes.set_xscale(panel.scales[0])
    axes.set_yscale(panel.scales[1])
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            axis.set_major_locator(
                LogLocator(10, (1.0,) if np.diff(np.log10(axis.get_view_interval()))[0] > 2.0 else (1.0, 2.0, 5.0))
            )
            axis.set_major_formatter(FuncFormatter(_tick))
            axis.set_minor_formatter(NullFormatter())
        else:
            axis.set_major_formatter(ScalarFormatter(useMathText=True))
    if panel.scales[1] == "linear" and all((c.measured >= 0).all() for c in found.values()):
        axes.set_ylim(bottom=0)
    axes.set_xlabel(panel.x)
    axes.set_ylabel(panel.y)
    axes.grid(True)
    if len(axes.get_legend_handles_labels()[0]) > 1:
        axes.legend(fontsize=8, frameon=True, framealpha=0.9, edgecolor="0.8")  # else markers look measured
    return shown


def _tick(value: float, _: int | None = None) -> str:
    """Return the label of a value on a logarithmic axis, as a number or a multiple of a power of ten."""
    if 0.01 <= value < 1e5 or value <= 0.0:
        return f"{value:g}"
    power = int(np.floor(np.log10(value) + 1e-9))
    front = f"{value / 10.0**power:.3g}"
    return f"$10^{{{power}}}$" if front == "1" else f"${front}\\cdot 10^{{{power}}}$"


def _draw(axes: Axes, name: str, curve: Curve, colour: str, panel: Panel, every: bool) -> None:
    """Draw the measured values of a curve, with bars of two standard errors, and the predicted ones."""
    errors = 2.0 * curve.error if len(curve.error) else None
    if panel.joined:
        marker = "o" if len(curve.x) <= 10 else ""
        axes.plot(curve.x, curve.measured, color=colour, label=literal(name), linewidth=2.2, marker=marker, markersize=4.5)
    else:
        label = literal(name)
        axes.errorbar(curve.x, curve.measured, errors, color=colour, fmt="o", markersize=4, capsize=2, linewidth=1.0, label=label)
    styles = [(0, ()), (0, (4, 3)), (0, (1, 1.5))]
    for k, (label, values) in enumerate(curve.predicted.items()):
        order = np.argsort(curve.x)
        line = colour if every else COLOURS[1 + k]
        shown = None if every else label
        if panel.placed:
            axes.plot(curve.x, values, "s", markersize=9, markerfacecolor="none", color=line, label=shown)
        else:
            axes.plot(curve.x[order], values[order], color=line, linewidth=1.2, linestyle=styles[k % 3], label=shown)


def noise_table(report: NoiseReport) -> Table:
    """Return the findings of a report as a table for the console; verdicts that begin with "fails" are red."""
    table = Table(title=Text(escaped(report.title)) if report.title else None, title_justify="left", pad_edge=False, box=None)
    for name in HEADER:
        table.add_column(name, justify="right" if name in ("item", "predicted", "measured") else "left", overflow="fold")
    for row in _cells(report):
        verdict = row[-1]
        cells = (Text(escaped(cell)) for cell in row[:-1])
        table.add_row(*cells, Text(verdict, style="bold red" if verdict.startswith("fails") else ""))
    return table


def _cells(report: NoiseReport) -> Sequence[tuple[str, str, str, str, str]]:
    """Return the table's cells, one row per finding; columns as in `HEADER`."""
    rows = []
    for f in report.findings:
        spread = f" ± {f.error:.1g}" if f.error > 0.0 and math.isfinite(f.measured) else ""
        bound = "≤ " if f.bound and math.isfinite(f.predicted) else ""
        rows.append((str(f.item), f.quantity, bound + _number(f.predicted), _number(f.measured) + spread, f.verdict))
    return rows


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "–"
