"""Problems in time on finite elements: the march for given numbers, and the derivatives of the measurements.

Derivatives are difference quotients of marches whose time steps are far more accurate than the measurements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import ufl
from numpy.typing import NDArray
from ufl.classes import Form

from vpinn.domain import Points, located_points
from vpinn.errors import DivergenceError
from vpinn.finite_elements import Key, key_of
from vpinn.forms import Background, Graph, Jet, RunNumber, build, compile_tape, components
from vpinn.inference.basis import MARGINS, Basis
from vpinn.inference.elements import forward_problem
from vpinn.inference.forward import Forward, Prediction
from vpinn.march import Collapse, march_fem
from vpinn.placement import host
from vpinn.problem import Case, Problem
from vpinn.problem.inverse import Observation

Array = NDArray[np.float64]
STEP = 2e-3
"""Step of difference quotients of a coefficient, which is dimensionless: their relative error is of this size, which slows
Gauss–Newton down by the same factor and changes no coefficient that it converges to."""


class MarchModel(Forward):
    """Marches on elements of one degree, as a model with unknown numbers.

    Args:
        problem: an inverse problem in time, on a mesh.
        degree: degree of the elements, ≥ 1; multipliers have one less.
    """

    def __init__(self, problem: Case, degree: int) -> None:
        assert problem.inverse is not None
        self.problem, self.inverse = problem, problem.inverse
        self.degree = degree
        mesh = problem.domain.with_cells()
        self.bases = {one.name: Basis.of(mesh, False, MARGINS[0]) for one in self.inverse.inferred}

    def predict(self, coefficients: Array, near: Prediction | None = None) -> Prediction:
        """Return the march.

        Raises:
            DivergenceError: the time steps became too small.
        """
        plain = forward_problem(self.problem, coefficients)
        try:
            marched = march_fem(plain, self.degree, 0)
        except Collapse as collapse:
            raise DivergenceError(f"inference: {collapse}") from None
        values = {one.symbol: ufl.as_ufl(float(c)) for one, c in zip(self.inverse.inferred, coefficients, strict=True)}
        measured = [_Timed.of(one, plain, values)(marched) for one in self.inverse.data]
        return Prediction(coefficients, np.concatenate(measured), marched)

    def jacobian(self, prediction: Prediction) -> Array:
        """Return the derivatives by difference quotients."""
        at = prediction.coefficients
        moved = [self.predict(at + step).values for step in STEP * np.eye(self.size)]
        return np.stack([(values - prediction.values) / STEP for values in moved], axis=1)

    @property
    def points(self) -> int:
        """Number of measurements, shown instead of the number of quadrature points, since there is no single rule."""
        return len(self.data)


@dataclass(frozen=True, eq=False)
class _Timed:
    """An expression at points and instants.

    Attributes:
        problem: problem whose unknowns the expression contains.
        parts: its scalar components.
        points: the places [n].
        times: the instants [n].
    """

    problem: Problem
    parts: list[Any]
    points: Points
    times: Array

    @classmethod
    def of(cls, one: Observation, problem: Problem, values: dict[Any, Any]) -> _Timed:
        """Return an observation with numbers in place of the unknown ones."""
        assert one.points is not None
        assert not isinstance(one.what, Form)
        d = problem.domain.dimension
        points = located_points(problem.domain, one.points[:, :d])[0]
        return cls(problem, components(ufl.replace(one.what, values)), points, one.points[:, d])

    def __call__(self, marched: Any) -> Array:
        """Return the values on a march [n components], point by point."""
        clock, first = self.problem.time, 0
        counts = dict[int, Key]()
        for unknown in self.problem.unknowns:
            counts[unknown.function.count()] = first, 0
            first += unknown.components
        graph = Graph(frozenset(counts))
        tape = compile_tape(graph, [build(graph, part) for part in self.parts])
        keys = [key_of(slot, counts) for slot in tape.moving_slots if isinstance(slot, Jet)]
        found = np.empty((len(self.times), len(self.parts)))
        for t in np.unique(self.times):
            rows = np.flatnonzero(self.times == t)
            here = self.points.rows(rows)
            background = Background(self.problem.domain, {clock.t.count(): RunNumber(float(t))})
            jets = torch.from_numpy(np.ascontiguousarray(marched.at(here)(float(t))))
            values = tape.moving([*tape.fixed(background.values(tape.fixed_slots, here)), *(jets[c, place] for c, place in keys)])
            for k, value in enumerate(values):
                found[rows, k] = host(value) if isinstance(value, torch.Tensor) else value
        return found.ravel()
