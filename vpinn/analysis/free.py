"""Functions that can be added to a solution, and what to say of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpinn.analysis.motions import CLOSE, motions, outside, without
from vpinn.problem import Problem

Array = NDArray[np.float64]
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
    """

    problem: Problem
    values: Array
    points: Array
    driven: bool
    near: int

    def __str__(self) -> str:
        """What is open, and what that means, in one line."""
        rest, words = self.values, list[str]()
        for name, known in motions(self.problem, self.points).items():
            free = [motion for motion, values in known if outside(values, self.values) <= CLOSE]
            for motion, values in known:
                if motion in free:
                    rest = without(rest, values)
            if free and self.problem.unknown(name).shape:
                words.append(f"no supports hold {name}: the body is free to {' and to '.join(free)}")
            elif free:
                words.append(f"{name} is open up to a constant")
        if len(rest):
            words.append(self._modes(rest))
        if self.driven:
            return f"no solution: {'; '.join(words)}, and the data do not balance"
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
