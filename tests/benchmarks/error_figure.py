"""Make table and figure of error against time from the results of ``error_against_time.py``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from vpinn.output.style import figure, styled

Array = NDArray[np.float64]
LEVELS = (1e-2, 1e-4, 1e-6, 1e-8)
"""Errors whose times the table gives."""
LINE, HEIGHT = 10.5, 3.9
"""Distance of names in points, and height of a panel in inches."""
GRID = 200
"""Times at which trained runs are compared."""
BLUE, GREY = "#0072b2", "#8a8f98"
LOOKS: dict[str, dict[str, Any]] = {
    "least-squares": {"color": "#d55e00", "lw": 2.6, "marker": "o", "ms": 4, "zorder": 6},
    "least-squares-enriched": {"color": "#d55e00", "lw": 2.6, "ls": (0, (3, 1)), "marker": "o", "ms": 4, "zorder": 6},
    "gauss-newton": {"color": "#cc79a7", "lw": 2.2, "zorder": 5},
    "broyden": {"color": "#b2182b", "lw": 1.6, "ls": (0, (5, 1)), "zorder": 5},
    "lbfgs": {"color": "#e69f00", "lw": 2.0, "zorder": 5},
    "adam": {"color": "#a6761d", "lw": 1.6, "zorder": 5},
    **{f"fem-{p}": {"color": BLUE, "lw": 1.2, "marker": "s", "ms": 2.6, "zorder": 4} for p in (1, 2, 3, 4)},
    **{f"scikit-fem-{p}": {"color": GREY, "lw": 1.0, "ls": (0, (4, 2)), "zorder": 3} for p in (2, 3, 4)},
    "fastvpinns": {"color": "#009e73", "lw": 1.8, "zorder": 4},
    "deepxde": {"color": "#6a51a3", "lw": 1.8, "zorder": 4},
}
"""Colours told apart by the colour-blind (Okabe & Ito 2008): ours warm, finite elements blue, peers green, violet and grey."""
LABELS = {
    "least-squares": "least squares",
    "least-squares-enriched": "least squares + corner",
    "gauss-newton": "Gauss–Newton",
    "broyden": "Broyden",
    "lbfgs": "L-BFGS",
    "adam": "Adam",
    **{f"fem-{p}": f"FEM P{p}" for p in (1, 2, 3, 4)},
    **{f"scikit-fem-{p}": f"scikit-fem P{p}" for p in (2, 3, 4)},
    "fastvpinns": "FastVPINNs",
    "deepxde": "DeepXDE",
}


def curve(record: dict[str, Any], problem: str, method: str) -> tuple[Array, Array, float, int] | None:
    """Return medians over the repeats of seconds and errors, of set-up seconds, and the number of runs; None without runs.

    For methods that solve anew for every point, only points better than all faster ones are returned.
    """
    runs = [run for key, run in record["runs"].items() if key.rsplit("/", 1)[0] == f"{problem}/{method}"]
    if not runs:
        return None
    setup = float(np.median([run["setup"] for run in runs]))
    tables = [np.array(run["points"])[:, :2] for run in runs]
    if "fem-" in method or method.startswith("least-squares"):
        count = min(map(len, tables))
        medians = np.median([found[:count] for found in tables], axis=0)
        seconds, errors = medians[np.argsort(medians[:, 0], kind="stable")].T
        best = errors < np.minimum.accumulate(np.r_[np.inf, errors[:-1]])
        return seconds[best], errors[best], setup, len(runs)
    first, last = max(t[0, 0] for t in tables), min(t[-1, 0] for t in tables)
    times = np.geomspace(first, last, GRID)
    errors = [np.interp(np.log(times), *np.log(found.T)) for found in tables]
    return times, np.exp(np.median(errors, axis=0)), setup, len(runs)


def table(record: dict[str, Any]) -> str:
    """Return the Markdown: per problem and method, set-up, times to reach errors, and where it ends."""
    some = next(iter(record["runs"].values()))
    lines = [
        "# Error against time",
        "",
        f"Relative L² error at 10,000 random points; solving seconds on {some['threads']} thread of {some['processor']}, "
        "medians of the runs; set-up is not in the times. Made by `python tests/benchmarks/error_against_time.py`.",
    ]
    for problem, title in record["titles"].items():
        rows = []
        for method, name in record["methods"].items():
            found = curve(record, problem, method)
            if found is not None:
                seconds, errors, setup, count = found
                reached = [seconds[np.flatnonzero(errors <= level)] for level in LEVELS]
                cells = [f"{part.min():.2g} s" if len(part) else "–" for part in reached]
                best = int(errors.argmin())
                ends = [f"{errors[best]:.1e} after {seconds[best]:.2g} s", f"{setup:.2g} s", str(count)]
                rows.append(f"| {' | '.join([name, *cells, *ends])} |")
        if rows:
            heads = " | ".join(f"to {level:.0e}" for level in LEVELS)
            lines += ["", f"## {title}", "", f"| method | {heads} | least error | set-up | runs |", "|---" * 8 + "|", *rows]
    return "\n".join(lines) + "\n"


def draw(record: dict[str, Any], path: Path) -> None:
    """Write the figure."""
    with styled():
        drawn = figure(13.0, 9.6)
        panels = drawn.subplots(2, 2, sharex=True, sharey=True).ravel()
        for axes, (problem, title) in zip(panels, record["titles"].items(), strict=True):
            ends = []
            for method, look in LOOKS.items():
                found = curve(record, problem, method)
                if found is not None:
                    seconds, errors, _, _ = found
                    axes.plot(seconds, errors, **look, solid_capstyle="round")
                    ends.append((method, float(seconds[-1]), float(errors[-1])))
            axes.set(xscale="log", yscale="log", title=title)
            axes.grid(True, which="major", zorder=0)
            axes.minorticks_off()
            axes._ends = ends
        for axes in panels[2:]:
            axes.set_xlabel("solving time in seconds")
        for axes in panels[::2]:
            axes.set_ylabel("relative L² error")
        panels[0].set_ylim(top=3)
        low, high = panels[0].get_xlim()
        panels[0].set_xlim(low, high * 1.5)
        for axes in panels:
            annotate(axes, axes._ends)
        some = next(iter(record["runs"].values()))
        counts = Counter(key.rsplit("/", 1)[0] for key in record["runs"])
        few, many = min(counts.values()), max(counts.values())
        runs = f"{many} runs" if few == many else f"{few} to {many} runs"
        drawn.suptitle("Error against time on four problems", fontweight="bold", fontsize=14)
        drawn.supxlabel(
            f"vpinn: orange and red, its finite elements blue; peers green, violet and grey. {some['processor']}, "
            f"{some['threads']} thread, medians of {runs}; set-up not counted",
            fontsize=8.5,
            color="#52606d",
        )
        drawn.savefig(path, dpi=160)


def annotate(axes: Axes, ends: list[tuple[str, float, float]]) -> None:
    """Write the name of every line beside the panel, at the height of its end or near it, with a thin line to it."""
    low, high = np.log10(axes.get_ylim())
    gap = (high - low) * LINE / (72 * HEIGHT)
    ends = sorted(ends, key=lambda end: end[2])
    at = np.log10([y for _, _, y in ends])
    for _ in range(2000):  # neighbours closer than a line push each other away, half each
        close = np.maximum(gap - np.diff(at), 0.0)
        at[:-1] -= 0.5 * close
        at[1:] += 0.5 * close
        at = np.clip(at, low + gap / 2, high - gap / 2)
    right = axes.get_xlim()[1]
    for (method, x, y), place in zip(ends, 10**at, strict=True):
        colour = LOOKS[method]["color"]
        axes.plot([x, right], [y, place], color=colour, lw=0.5, alpha=0.45, zorder=2)
        weight = "bold" if method.startswith("least") else "normal"
        axes.annotate(
            LABELS[method],
            (right, place),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=colour,
            fontweight=weight,
            annotation_clip=False,
        )
