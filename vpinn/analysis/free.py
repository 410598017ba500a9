"""Describe functions that can be added to a solution without leaving a residual: rigid motions, constants and other modes.

``uniqueness`` finds such functions, called free; ``Free`` names them in one line for the user.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vpinn.domain import Inside, Points
from vpinn.finite_elements import motions
from vpinn.problem import Problem
from vpinn.trial import Evaluator, Features, Trial

Array = NDArray[np.float64]
CLOSE = 2e-2
"""Relative distance of a rigid motion from the span of the free functions up to which it belongs to them."""
UNEVEN = 0.1
"""Largest deviation of a residual from its mean, relative to the mean, with which it counts as constant."""
POINTS = 400
"""About the number of points at which functions are compared."""
FEW = 3
"""Number of modes up to which they are put down to a resonance; more are put down to a missing condition."""


@dataclass(frozen=True)
class Free:
    """Functions that can be added to a solution.

    Attributes:
        problem: the problem.
        values: orthonormal basis of the free functions, by its values at n points [count, components, n].
        points: coordinates of these points [n, d].
        driven: whether the data do not balance along a free function, so that there is no solution.
        near: number of functions that are free or nearly free.
        gap: difference of source and boundary flux of an equation, in its unit; None if that is not known.
    """

    problem: Problem
    values: Array
    points: Array
    driven: bool
    near: int
    gap: float | None = None

    def __str__(self) -> str:
        """Name the free functions and their consequence in one line."""
        rest, words = self.values, list[str]()
        known, total = motions(self.problem), self.values.shape[1]
        for unknown in self.problem.unknowns:
            free = list[str]()
            for motion in known:
                values = motion.values(self.points, total)
                if motion.unknown == unknown.name and outside(values, self.values) <= CLOSE:
                    free.append(motion.text)
                    rest = without(rest, values)
            if free and unknown.shape:
                words.append(f"no supports hold {unknown.name}: the body is free to {' and to '.join(free)}")
            elif free:
                words.append(f"{unknown.name} is open up to a constant")
        if len(rest):
            words.append(self._modes(rest))
        if self.driven:
            missing = "the data do not balance" if self.gap is None else f"source and flux do not balance by {self.gap:.3g}"
            return f"no solution: {'; '.join(words)}, and {missing}"
        return f"not unique, one solution of many: {'; '.join(words)}"

    @property
    def beyond(self) -> bool:
        """Whether there are others than rigid motions and constants."""
        rest = self.values
        for motion in motions(self.problem):
            rest = without(rest, motion.values(self.points, rest.shape[1]))
        return len(rest) > 0

    def _modes(self, functions: Array) -> str:
        """Describe free functions that are neither constants nor rigid motions."""
        names = [unknown.name for unknown in self.problem.unknowns for _ in range(unknown.components)]
        component, at = np.unravel_index(int(np.abs(functions[0]).argmax()), functions[0].shape)
        place = ", ".join(f"{axis} = {value:.2g}" for axis, value in zip("xyzstuvw", self.points[at], strict=False))
        if (count := self.near - len(self.values) + len(functions)) > FEW:
            what = f"at least {count} functions can be added to {names[component]}"
            return f"{what}, one of them largest near {place}; a boundary or initial condition is missing"
        what = f"any multiple of a mode can be added to {names[component]}, largest near {place}"
        return f"{what}; a condition is missing, or a coefficient is an eigenvalue"


def orthonormal(values: Array) -> Array:
    """Return an orthonormal basis [rank, components, n] of functions [count, components, n]."""
    rows = values.reshape(len(values), -1)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    _, singular, right = np.linalg.svd(rows / np.where(norms > 0.0, norms, 1.0), full_matrices=False)
    return np.asarray(right[singular > CLOSE].reshape(-1, *values.shape[1:]))


def without(basis: Array, motion: Array) -> Array:
    """Return an orthonormal basis of functions without a motion, unchanged if the motion is not among them [k, components, n]."""
    if not len(basis) or outside(motion, basis) > CLOSE:
        return basis
    rows, unit = basis.reshape(len(basis), -1), motion.ravel() / np.linalg.norm(motion)
    rest = rows - np.outer(rows @ unit, unit)
    _, singular, right = np.linalg.svd(rest, full_matrices=False)
    return np.asarray(right[singular > CLOSE].reshape(-1, *basis.shape[1:]))


def outside(motion: Array, basis: Array) -> float:
    """Return the relative distance, 0 to 1, of a motion [components, n] from the span of an orthonormal basis."""
    rows, unit = basis.reshape(len(basis), -1), motion.ravel() / np.linalg.norm(motion)
    return float(np.linalg.norm(unit - (rows @ unit) @ rows))


def imbalance(problem: Problem, trial: Trial, theta: torch.Tensor, loss: float) -> float | None:
    """Return the difference of source and boundary flux of one equation in strong form; None if that cannot be told.

    The residual ρ of least squares is orthogonal to the image of the operator, so it is in the kernel of the transposed one. If ρ
    has the same value a at all points of the domain, ν = ρ/a is one there. Tested with ν, the equation leaves
    (ν, ρ) = ‖ρ‖²/a, which is returned.

    Args:
        problem: the problem.
        trial: its trial space.
        theta: parameters of the solution [size].
        loss: half the sum of squares ‖ρ‖².
    """
    if len(problem.formulation.equations) != 1:
        return None
    residual = Evaluator.of(problem, trial, list(problem.formulation.equations))(theta, some_points(problem))
    mean = float(residual.mean())
    if len(residual) != 1 or mean == 0.0 or not np.abs(residual - mean).max() <= UNEVEN * abs(mean):
        return None
    return abs(2 * loss / mean)


def some_points(problem: Problem) -> Points:
    """Return points all over the domain at which functions are compared."""
    return Inside(problem.domain).spread(POINTS)


def units_of(problem: Problem, network: Features, columns: Array) -> Array:
    """Return units [linear] in which the residuals [rows, linear] of every unknown's features are of size one.

    A temperature of 100 K beside displacements of 1e-5 m, and watts beside pascals, would make σ small in any other units.
    """
    units = np.full(columns.shape[1], 1.0 / np.linalg.norm(columns, 2))
    each = network.shared + 1
    start = 0
    for unknown in problem.unknowns:
        own = slice(start, start + unknown.components * each)
        units[own] = 1.0 / (np.linalg.norm(columns[:, own], 2) or 1.0)
        start = own.stop
    return units
