"""What an inverse problem inferred: table rows, and a figure of the data against what the solution makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from ufl.classes import Form

from vpinn.domain import located_points
from vpinn.forms import integrals
from vpinn.output.style import ACCENT, FAINT, INK, TRUTH, figure, literal
from vpinn.problem.inverse import Observation
from vpinn.solution import Solution
from vpinn.trial import Evaluator

Array = NDArray[np.float64]
Rows = list[tuple[str, str]]
TONES = (ACCENT, TRUTH, FAINT)
"""Colours of the sections of the data, by turns."""
MANY = 300
"""Number of measurements from which they are drawn small."""
RULE = 20
"""Degree of the quadrature for measured integrals."""
STRONG = 0.9
"""Size of a correlation from which it has a row."""


def inferred_rows(metrics: Mapping[str, Any]) -> Rows:
    """Return rows about what was inferred and how well it explains the data; none for other problems."""
    rows = [(name, _text(found)) for name, found in metrics.get("inferred", {}).items()]
    for pair, value in metrics.get("correlation", {}).items():
        if abs(value) >= STRONG:
            rows.append(("correlation", f"{value:+.3f} of {pair}: the data hardly tell one from the other"))
    data = metrics.get("data")
    if data is None:
        return rows
    told = f"{data['count']:,} values; {data['effective_parameters']:.1f} coefficients are told by them"
    if data["p_value"] is not None:
        told += f"; χ² = {data['chi2']:.4g} for {data['degrees_of_freedom']:.4g} degrees of freedom, p = {data['p_value']:.2g}"
    rows.append(("data", told))
    for one in data["sections"]:
        if one["noise_inferred"]:
            rows.append(("", f"{one['observes']}: noise of {one['noise']:.3g} inferred from {one['count']:,} values"))
    return rows


def _text(found: Mapping[str, Any]) -> str:
    """Return a number with as many digits as its deviation leaves, or the range of a field."""
    if found.get("field"):
        prior = found["prior"]
        return (
            f"{found['least']:.4g} to {found['most']:.4g}, standard deviation {found['std']:.2g} on the average; "
            f"its prior changes over a length of {prior['length']:.3g}"
        )
    value, deviation = found["value"], found["std"]
    digits = 15 if not deviation else int(np.clip(np.ceil(np.log10(max(abs(value), deviation) / deviation)) + 2, 2, 15))
    exact = f" (exact {found['exact']:.{digits}g})" if "exact" in found else ""
    return f"{value:.{digits}g} ± {deviation:.2g}{exact}"


def data_figure(solution: Solution) -> Figure | None:
    """Return a figure of the measurements against what the solution makes of them, and of the residuals; None without data."""
    inverse, data = solution.problem.inverse, solution.metrics.get("data")
    if inverse is None or data is None:
        return None
    shown = figure(9.0, 3.9, "Data and fit")
    fit, left = shown.subplots(1, 2)
    ends = list[float]()
    for k, (one, told) in enumerate(zip(inverse.data, data["sections"], strict=True)):
        predicted, measured = predictions(solution, one), one.values.ravel()
        style = {"s": 14 if len(measured) < MANY else 4, "color": TONES[k % len(TONES)], "linewidths": 0, "alpha": 0.8}
        fit.scatter(predicted, measured, label=literal(one.told), **style)
        left.scatter(predicted, (measured - predicted) / told["noise"], **style)
        ends += [predicted.min(), predicted.max()]
    fit.plot([min(ends), max(ends)], [min(ends), max(ends)], color=INK, linewidth=0.8)
    for height in (-1.96, 0.0, 1.96):
        left.axhline(height, color=INK if height == 0.0 else FAINT, linewidth=0.8)
    fit.set(xlabel="solution", ylabel="measured")
    left.set(xlabel="solution", ylabel="(measured − solution)/noise")
    fit.legend()
    return shown


def predictions(solution: Solution, one: Observation) -> Array:
    """Return what a solution makes of measurements [n k], point by point."""
    problem, theta = solution.problem, solution.theta
    if not isinstance(one.what, Form):
        points = located_points(problem.domain, np.asarray(one.points))[0]
        return Evaluator.of(problem, solution.trial, [one.what])(theta, points).T.ravel()
    total = 0.0
    for part in integrals(one.what):
        tags = tuple(problem.tags[i] for i in part.tags) or ("all",)
        over = part.region.of(problem.domain, tags).on_cells(RULE)
        total += float(Evaluator.of(problem, solution.trial, [part.integrand]).integrate(theta, over).sum())
    return np.array([total])
