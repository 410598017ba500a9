"""The coefficients of enrich functions and corner functions that a solution has, for metrics and report."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from vpinn.problem import Case
from vpinn.trial.features import Features
from vpinn.trial.trial import Trial


def coefficients_of(problem: Case, trial: Trial, theta: Tensor) -> dict[str, Any]:
    """Return the coefficients of enrich functions and corner functions in a solution, as values for JSON.

    Args:
        problem: the problem.
        trial: its trial space.
        theta: parameters of the solution [size].

    Returns:
        A dictionary with "enrich", if the problem has enrich functions: component of an unknown → text of the function in the
        problem file → coefficient; and with "corners", if there are corner functions, a list with one entry for each: the place
        of the corner, the exponent a and the oscillation b of r^a cos(b ln r) and r^a sin(b ln r), whether it has a logarithm,
        the components in which it is not zero, and its coefficient.
    """
    names = [f"{u.name}[{k}]" if u.shape else u.name for u in problem.unknowns for k in range(u.components)]
    texts = problem.settings.network.enrich
    network = trial.network
    result = dict[str, Any]()
    if texts:
        sizes = theta.new_tensor(trial.scales.extras) if trial.scales is not None else 1.0
        found = (network.coefficients(theta) * sizes).view(len(names), len(texts)).tolist()
        result["enrich"] = {name: dict(zip(texts, row, strict=True)) for name, row in zip(names, found, strict=True)}
    if isinstance(network, Features) and network.corners:
        found = network.unpack(theta)[-1][0][0, network.shared :].tolist()
        result["corners"] = [
            {
                "at": list(function.place),
                "exponent": function.solution.exponent.real,
                "oscillation": function.solution.exponent.imag,
                "logarithm": function.solution.logarithm,
                "components": [name for name, moved in zip(names, function.solution.moved, strict=True) if moved],
                "coefficient": coefficient,
            }
            for function, coefficient in zip(network.corners, found, strict=False)
        ]
    return result
