"""The verdict on a solution in one sentence: whether it can be relied on, how accurate it is and, if not, what to try."""

from __future__ import annotations

import math

from vpinn.solution import Solution

ENOUGH = 0.1
"""Relative error from which on a solution is called none."""


def verdict(solution: Solution) -> str:
    """Return the verdict: "Solved. …", "Solved, but …" or "Not solved: …"."""
    checks, metrics = list(solution.metrics.get("checks", ())), solution.metrics
    error, what = _error(solution)
    if metrics.get("stopped") == "signal" or not metrics:
        return "Not finished: the run was stopped before its assessment; go on with --resume."
    told = "The error is not known" if math.isnan(error) else f"{what} {_percent(error)}"
    if not checks:
        limited = {"time limit": "; the time limit ended the run", "callback": "; a callback ended the run"}
        return f"Solved. {told}, all checks passed{limited.get(metrics.get('stopped', ''), '')}."
    first, _, advice = checks[0].partition("; ")
    tried = f" Try: {advice}." if advice else ""
    more = f" ({len(checks) - 1} more failed.)" if len(checks) > 1 else ""
    if error >= ENOUGH or math.isnan(error):
        return f"Not solved: {first}.{tried}{more}"
    return f"Solved, but do not rely on it: {first}.{tried} {told}.{more}"


def _error(solution: Solution) -> tuple[float, str]:
    """Return the largest relative error in L² that is known or estimated, and what it is called."""
    errors = [known["relative_l2"] for known in solution.errors.values() if "relative_l2" in known]
    if errors:
        return max(errors), "Error"
    estimate = solution.error_estimate
    if estimate.get("relative_l2"):
        return max(dict(estimate["relative_l2"]).values()), "Estimated error"  # type: ignore[call-overload]
    for name in ("relative_energy", "relative_eigenvalues"):
        if estimate.get(name) is not None:
            return float(estimate[name]), "Estimated error"
    return math.nan, ""


def _percent(error: float) -> str:
    """Return a relative error in words: as a percentage where that can be read, else as a power of ten."""
    if error >= 1e-4:
        return f"about {100.0 * error:.2g} %"
    return f"about {error:.0e}" if error > 0.0 else "zero"
