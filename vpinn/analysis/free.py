"""Functions that can be added to a solution, and what to say of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vpinn.domain import Inside, Points
from vpinn.finite_elements import motions
from vpinn.problem import Problem
from vpinn.trial import Evaluator, Trial

Array = NDArray[np.float64]
CLOSE = 2e-2
"""Share of a motion outside of the free functions up to which it is one of them."""
UNEVEN = 0.1
"""Largest change of a residual from point to point, relative to its mean, with which it counts as constant."""
POINTS = 400
"""Points at which functions are looked at."""
FEW = 3
"""Modes up to which they are accidents, not what a missing condition leaves open."""


@dataclass(frozen=True)
class Free:
    """Functions that can be added to a solution.

    Attributes:
        problem: the problem.
        values: an orthonormal basis of them at some points [count, components, n].
        points: coordinates of these [n, d].
        driven: whether the data do not balance them, so that there is no solution at all.
        near: how many functions are free, or nearly so with the features that were tried.
        gap: by how much source and flux of one equation do not balance, in its unit; None where that is not known.
    """

    problem: Problem
    values: Array
    points: Array
    driven: bool
    near: int
    gap: float | None = None

    def __str__(self) -> str:
        """What is open, and what that means, in one line."""
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

    def _modes(self, functions: Array) -> str:
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
    """Return a basis of what is left of functions beside a motion."""
    rows, unit = basis.reshape(len(basis), -1), motion.ravel() / np.linalg.norm(motion)
    if not len(rows) or outside(motion, basis) > CLOSE:
        return basis
    rest = rows - np.outer(rows @ unit, unit)
    _, singular, right = np.linalg.svd(rest, full_matrices=False)
    return np.asarray(right[singular > CLOSE].reshape(-1, *basis.shape[1:]))


def outside(motion: Array, basis: Array) -> float:
    """Return the part of a motion outside of functions with an orthonormal basis, 0 to 1."""
    rows, unit = basis.reshape(len(basis), -1), motion.ravel() / np.linalg.norm(motion)
    return float(np.linalg.norm(unit - (rows @ unit) @ rows))


def imbalance(problem: Problem, trial: Trial, theta: torch.Tensor, loss: float) -> float | None:
    """Return by how much source and flux of one equation in strong form do not balance; None where that cannot be told.

    What least squares is left with is ρ = aν, orthogonal to all functions, with ν the kernel of the transposed operator. Where
    the residual is the same at all points, ν is one in the domain for ν = ρ/a with that residual a, and the data, tested with
    ν, leave (ν, ρ) = |ρ|²/a.
    """
    if len(problem.formulation.equations) != 1:
        return None
    residual = Evaluator.of(problem, trial, list(problem.formulation.equations))(theta, some_points(problem))
    mean = float(residual.mean())
    if len(residual) != 1 or mean == 0.0 or not np.abs(residual - mean).max() <= UNEVEN * abs(mean):
        return None
    return abs(2 * loss / mean)


def some_points(problem: Problem) -> Points:
    """Return points all over the domain at which functions are looked at."""
    return Inside(problem.domain).spread(POINTS)
