"""Check whether the model explains the data: χ², outliers, and data that do not constrain the unknowns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, stdtr

from vpinn.inference.posterior import Posterior
from vpinn.problem.inverse import Observation

Array = NDArray[np.float64]
UNLIKELY = 1e-3
"""A check fails if so large a misfit, or so large a deviation of one value, has less than this probability."""
FEW = 3
"""Smallest number of degrees of freedom for which single values are tested as outliers."""
EXPLAINED = 0.5
"""Least share of the variance of the data that a model with inferred noise has to explain; below it a check fails."""
AT_BOUND = 1e-4
"""Distance from a bound, relative to that of the initial value, below which a number counts as being at that bound."""
ROUNDED = 1e-12
"""Size of residuals, relative to the data, below which they are rounding errors and are not tested."""


def judged(posterior: Posterior) -> tuple[dict[str, Any], list[str]]:
    """Return the entry "data" of metrics.json, and a line for each check that fails."""
    forward, residuals = posterior.forward, posterior.residuals
    known = np.concatenate([np.full(one.values.size, one.noise is not None) for one in forward.inverse.data])
    dof = len(residuals) - posterior.effective
    found: dict[str, Any] = {
        "count": len(residuals),
        "effective_parameters": posterior.effective,
        "chi2": float(residuals @ residuals),
        "degrees_of_freedom": dof,
        "p_value": float(chdtrc(dof, residuals @ residuals)) if known.all() and dof > 0.5 else None,
        "sections": [_section(posterior, one, part) for one, part in zip(forward.inverse.data, forward.sections, strict=True)],
    }
    checks = []
    if found["p_value"] is not None and found["p_value"] < UNLIKELY:
        worst = max(found["sections"], key=lambda one: one["chi2"] / one["count"])
        checks.append(
            f"data: the model does not explain them: χ² = {found['chi2']:.4g} for {dof:.4g} degrees of freedom "
            f"(p = {found['p_value']:.1e}), most of it from {worst['observes']}; look at units, columns, noise and the form"
        )
    for one, told in zip(forward.inverse.data, found["sections"], strict=True):
        if one.noise is None and told["explained"] is not None and told["explained"] < EXPLAINED:
            checks.append(
                f"data: the model explains {max(told['explained'], 0.0):.0%} of the variance of {one.told}, the rest counts as "
                "noise; look at units, columns and the form"
            )
        if one.values.size > FEW and np.ptp(one.values) == 0.0:
            checks.append(f"data: all {one.values.size} values of {one.told} are {one.values.flat[0]:g}; a sensor may be stuck")
    if (far := _outlier(posterior, dof)) is not None:
        checks.append(f"data: {far}")
    if not posterior.fit.converged:
        checks.append("inferred: the iteration did not converge; give other initial values, bounds or a prior")
    checks += [f"inferred: {told}" for told in _at_bounds(posterior)]
    unseen = posterior.unseen
    if unseen:
        checks.append(f"inferred: the data do not tell {', '.join(unseen)}; measure something else, or give a prior")
    return {**found, "unseen": unseen}, checks


def _at_bounds(posterior: Posterior) -> list[str]:
    """Return a line for each number that is at one of its bounds."""
    found = []
    for one in posterior.forward.inverse.numbers:
        value, given = posterior.numbers[one.name]["value"], one.section
        for bound, side in ((given.lower, "lower"), (given.upper, "upper")):
            if bound is not None and abs(value - bound) <= AT_BOUND * abs(given.initial - bound):
                found.append(f"{one.name} runs into its {side} bound {bound:g}; the data want more than it allows")
    return found


def _section(posterior: Posterior, one: Observation, part: slice) -> dict[str, Any]:
    """Return the statistics of a [[data]] section, JSON-compatible."""
    values, left = one.values.ravel(), posterior.residuals[part]
    spread = float(np.var(values))
    gaps = left * posterior.noise[part]
    return {
        "observes": one.told,
        "count": one.values.size,
        "noise": float(posterior.noise[part][0]),
        "noise_inferred": one.noise is None,
        "chi2": float(left @ left),
        "explained": 1.0 - float(np.mean(gaps**2)) / spread if spread else None,
    }


def _outlier(posterior: Posterior, dof: float) -> str | None:
    """Return a sentence about the measurement with the largest deviation; None if it is not improbable.

    Residuals are judged by Student's distribution, with the noise as the others show it (externally studentised), and the
    probability is multiplied by their number (Bonferroni).
    """
    residuals, n = posterior.residuals, len(posterior.residuals)
    if dof < FEW + 1 or np.abs(residuals * posterior.noise).max() <= ROUNDED * np.abs(posterior.forward.data).max():
        return None
    scale = max(float(residuals @ residuals) / dof, 1e-300)
    standard = residuals / np.sqrt(np.maximum(1.0 - posterior.leverages, 1e-6) * scale)
    outer = standard * np.sqrt((dof - 1.0) / np.maximum(dof - standard**2, 1e-6))
    worst = int(np.abs(outer).argmax())
    if 2.0 * n * stdtr(dof - 1.0, -abs(outer[worst])) >= UNLIKELY:
        return None
    sections = zip(posterior.forward.inverse.data, posterior.forward.sections, strict=True)
    one, part = next((one, part) for one, part in sections if part.start <= worst < part.stop)
    value = one.values.ravel()[worst - part.start]
    predicted = posterior.fit.prediction.values[worst]
    place = ""
    if one.points is not None:
        row = (worst - part.start) // one.values.shape[1]
        place = f" in row {row + 1} at ({', '.join(f'{c:g}' for c in one.points[row])})"
    return (
        f"{one.told} = {value:.4g}{place} lies {abs(outer[worst]):.1f} standard deviations from {predicted:.4g}, which the "
        "others tell; an outlier?"
    )
