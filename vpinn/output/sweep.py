"""The table, the csv file and the figure of a sweep: quantities, or the largest values of unknowns, beside what was varied."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table
from rich.text import Text

from vpinn.output.figures import png
from vpinn.output.style import ACCENT, INK, figure, styled
from vpinn.output.tables import quantity_texts
from vpinn.storage import write_atomic
from vpinn.text import escaped

Metrics = Mapping[str, Any]


def sweep_table(labels: Sequence[str], found: Sequence[Metrics]) -> Table:
    """Return one row per run: what was varied, quantities, error or estimate, failed checks, seconds."""
    table = Table(box=None, pad_edge=False)
    for name in ("run", "quantities", "error", "checks", "seconds"):
        table.add_column(name)
    for label, metrics in zip(labels, found, strict=True):
        told = [text.split(" = ", 1) for text in quantity_texts(metrics)]
        failed = len(metrics.get("checks", ()))
        cells = (
            label,
            "\n".join(f"{name} {value}" for name, value in told),
            accuracy_text(metrics),
            f"{failed} failed" if failed else "passed",
            f"{metrics['seconds']['total']:.1f}",
        )
        table.add_row(*(Text(escaped(cell, keep="\n")) for cell in cells))
    return table


def accuracy_text(metrics: Metrics) -> str:
    """Return the largest error in L², else the estimate."""
    errors = [known["relative_l2"] for known in metrics.get("errors", {}).values() if "relative_l2" in known]
    if errors:
        return f"{max(errors):.1e}"
    estimate = (metrics.get("error_estimate") or {}).get("relative_energy")
    return "" if estimate is None else f"estimate {estimate:.1e}"


def sweep_csv(varied: Iterable[str], values: Sequence[Mapping[str, str]], found: Sequence[Metrics]) -> bytes:
    """Return comma-separated values of all runs: the settings varied, quantities with their errors, estimate, seconds."""
    names = list(dict.fromkeys(name for metrics in found for name in metrics.get("quantities", {})))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [column for name in names for column in (name, f"{name}_error")]
    writer.writerow([*varied, *columns, "estimate", "failed_checks", "seconds"])
    for own, metrics in zip(values, found, strict=True):
        known = metrics.get("quantities", {})
        pairs = [known.get(name, {}).get(key, "") for name in names for key in ("value", "error")]
        estimate = (metrics.get("error_estimate") or {}).get("relative_energy", "")
        writer.writerow([*own.values(), *pairs, estimate, len(metrics.get("checks", ())), metrics["seconds"]["total"]])
    return text.getvalue().encode()


def draw_sweep(values: Sequence[Mapping[str, str]], found: Sequence[Metrics], path: Path) -> None:
    """Draw the quantities of all runs with their errors, or without any the error estimates, over what was varied.

    Raises:
        StorageError: the file could not be written.
    """
    with styled():
        write_atomic(path, png(_figure(values, found)))


def _figure(values: Sequence[Mapping[str, str]], found: Sequence[Metrics]) -> Figure:
    names = list(dict.fromkeys(name for metrics in found for name in metrics.get("quantities", {})))
    shown = figure(6.5, 2.6 * max(1, len(names)) + 0.4, ", ".join(values[0]))
    panels = shown.subplots(max(1, len(names)), squeeze=False)[:, 0]
    texts = [", ".join(varied.values()) for varied in values]
    x = _numbers(texts)
    for axes, name in zip(panels, names or [""], strict=True):
        known = [metrics.get("quantities", {}).get(name, {}) for metrics in found]
        y = np.array([one.get("value", math.nan) for one in known], dtype=float)
        error = np.array([one.get("error") or 0.0 for one in known])
        if name:
            axes.errorbar(x, y, yerr=error, color=INK, ecolor=ACCENT, marker="o", markersize=4, capsize=3)
            axes.set_ylabel(name)
        else:
            estimates = [(metrics.get("error_estimate") or {}).get("relative_energy", math.nan) for metrics in found]
            axes.semilogy(x, estimates, color=INK, marker="o", markersize=4)
            axes.set_ylabel("relative error estimate")
        if not all(text == f"{number:g}" or _is_number(text) for text, number in zip(texts, x, strict=True)):
            axes.set_xticks(x, texts)
        axes.set_xlabel(", ".join(values[0]))
        axes.grid(True)
    return shown


def _numbers(texts: Sequence[str]) -> list[float]:
    """Return what was varied as numbers, or the numbers of the runs."""
    return [float(text) for text in texts] if all(map(_is_number, texts)) else [float(k) for k in range(len(texts))]


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
