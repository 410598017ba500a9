"""The initial state of a march, by projection, and the expected size of its coefficients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from ufl.classes import Expr, Zero

from vpinn.domain import Points
from vpinn.errors import InputError
from vpinn.features.orthonormal import AtPoints, GalerkinSystem
from vpinn.forms import components
from vpinn.problem import Problem

Array = NDArray[np.float64]


def start(problem: Problem, system: GalerkinSystem, points: Points) -> Array:
    """Return the initial state: initial values and rates minus those of the lift, projected in L² [system.states].

    Args:
        problem: problem in time with an initial state for every component.
        system: Galerkin's equations of the problem.
        points: quadrature points of the domain.

    Raises:
        InputError: a value at the start is not finite.
    """
    clock, functions = problem.time, system.space.jets(points, [()])
    found = []
    for order in (0, 1):
        values = AtPoints(stated_at_start(problem, order), points, system.space.trial.background, clock)(clock.start)
        if not np.isfinite(values).all():
            raise InputError("a state at the start is not finite at a point of the domain", problem.initial[0].where)
        root = np.sqrt(points.w)
        parts = []
        for value, lift, jets in zip(values, system.lifts, functions, strict=True):
            known = lift.at(points, [()], order)(clock.start)[order, ()]
            parts.append(np.linalg.lstsq(root[:, None] * jets[()], root * (value - known), rcond=None)[0])
        found.append(np.concatenate(parts))
    return system.joined(found[0], found[1])


def stated_at_start(problem: Problem, order: int) -> list[Expr]:
    """Return the initial values (order 0) or rates (order 1) of all components; zero if none is given."""
    found: list[Expr] = []
    for unknown in problem.unknowns:
        own: list[Expr] = [Zero()] * unknown.components
        for state in problem.initial:
            given = state.rate if order else state.value
            if state.unknown == unknown.name and given is not None:
                parts = components(given)
                if state.component is None:
                    own = list(parts)
                else:
                    own[state.component] = parts[0]
        found += own
    return found


def first_scale(system: GalerkinSystem, state: Array, instants: Sequence[float]) -> float:
    """Return the expected norm of the coefficients: of the initial state, or of what the drive adds to it."""
    begin, span = float(instants[0]), float(instants[-1]) - float(instants[0])
    a, rates = system.split(state)
    size = max(float(np.linalg.norm(a)), span * float(np.linalg.norm(rates)))
    drives = [system.force(float(t), np.zeros(system.states)) for t in np.linspace(begin, begin + span, 5)]
    matrix = system.matrices(begin, a, rates)[0]
    still = np.linalg.lstsq(matrix, np.stack(drives, axis=1), rcond=1e-12)[0]
    return max(size, float(np.linalg.norm(still, axis=0).max()), 1e-300)
