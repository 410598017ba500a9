"""Steady problems on finite elements: the solution for given coefficients, and how the measurements change with these.

Unknown numbers and fields are further components of the elements, which no equation is for. So one assembly gives the derivatives
of the equations by the solution and by them. With F(u, m) = 0, du/dm = −F_u⁻¹ F_m (Gunzburger 2003, Perspectives in Flow Control
and Optimization, §2); where there are fewer measurements than coefficients, F_uᵀ is solved for each measurement instead.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import ufl
from numpy.typing import NDArray
from ufl.algorithms.apply_algebra_lowering import apply_algebra_lowering
from ufl.algorithms.apply_derivatives import apply_derivatives
from ufl.classes import Expr, Zero

from vpinn.finite_elements import (
    Discrete,
    Kernel,
    Level,
    MixedSpace,
    assemble,
    check,
    degrees_of,
    discretised,
    extended,
    factorise,
    integrands,
    newton,
    prescribed,
    solver,
)
from vpinn.forms import Background, RunNumber
from vpinn.inference.basis import MARGINS, Basis
from vpinn.inference.forward import Forward, Prediction
from vpinn.inference.sensors import Sensors, make_sensors
from vpinn.problem import Problem, Stated, Unknown, Weak, substituted
from vpinn.trial import MeshField

Array = NDArray[np.float64]


class ElementModel(Forward):
    """Finite elements of one degree.

    Args:
        problem: a steady inverse problem on a mesh.
        degree: of the elements; multipliers take one less.
        margin: of the boxes of fields, see ``Basis``.

    Attributes:
        problem: the inverse problem.
        mixed: elements of all components, and behind them of all unknown numbers and fields.
        components: number of components of the solution.

    Raises:
        InputError: elements cannot state the problem.
    """

    def __init__(self, problem: Problem, degree: int, margin: float = MARGINS[0]) -> None:
        assert problem.inverse is not None
        self.problem, self.inverse = problem, problem.inverse
        initial = forward_problem(problem, np.zeros(len(self.inverse.inferred)))
        mesh = check(initial, degree, 0)
        degrees = degrees_of(initial, integrands(initial), degree)
        more = tuple(max(degrees) if one.field else 1 for one in self.inverse.inferred)
        self.components = len(degrees)
        self.mixed = MixedSpace.of(mesh, [*degrees, *more])
        self.bases = {one.name: Basis.of(mesh, one.field, margin) for one in self.inverse.inferred}
        self._whole = whole_problem(problem)
        self._forms: list[Discrete] = discretised(integrands(self._whole), self.mixed, Background(mesh))
        self._linear = all(part.linear for part in integrands(initial))
        self._kernel = Kernel.of(self.mixed, Level.of(initial).motions)
        self._sensors: list[list[Sensors]] = [make_sensors(one, self._whole, self.mixed) for one in self.inverse.data]
        self._held = prescribed(self._whole, self.mixed, self._background(np.zeros(self.size)))[1]
        self._own = np.arange(self.mixed.size) < self.mixed.first[self.components]
        self._free = self._own & ~self._held
        self._free[self._kernel.pins] = False

    @property
    def points(self) -> int:
        """Number of quadrature points."""
        return sum(form.points.size for form in self._forms)

    def nodal(self, coefficients: Array) -> dict[str, Array]:
        """Return the symbol s of each unknown number or field at the nodes of its elements."""
        return {name: table @ coefficients[self.parts[name]] for name, table in self._tables.items()}

    @cached_property
    def _tables(self) -> dict[str, Array]:
        """Values of each unknown's basis at the nodes of its elements [nodes, size]."""
        spaces = zip(self.inverse.inferred, self.mixed.spaces[self.components :], strict=True)
        return {one.name: self.bases[one.name].values(space.locations()) for one, space in spaces}

    def _background(self, coefficients: Array) -> Background:
        """Return the domain with the unknown numbers and fields as known functions."""
        nodal, known = self.nodal(coefficients), dict[int, Any]()
        for one, space in zip(self.inverse.inferred, self.mixed.spaces[self.components :], strict=True):
            values = nodal[one.name]
            known[one.symbol.count()] = MeshField(space, values) if one.field else RunNumber(float(values[0]))
        return Background(self.mixed.mesh, known)

    def predict(self, coefficients: Array, near: Prediction | None = None) -> Prediction:
        """Return the solution, by Newton's method from one nearby."""
        held = prescribed(self._whole, self.mixed, self._background(coefficients))[0]
        values = np.where(self._held, held, 0.0)
        if near is not None:
            values[self._free] = near.state[self._free]
        elif not self._linear:
            values = extended(self.mixed, values, self._held)
        for number, symbol in enumerate(self.nodal(coefficients).values(), self.components):
            values[self.mixed.numbers(number)] = symbol
        numbering = np.where(self._free, np.cumsum(self._free) - 1, -1)

        def system(u: Array, matrix: bool) -> tuple[Array, Any]:
            full = values.copy()
            full[self._free] = u
            return assemble(self._forms, self.mixed, full, numbering, matrix)

        found = newton(system, values[self._free], partial(solver, mixed=self.mixed, free=self._free))
        values[self._free] = found.values
        values = self._kernel.without(values)
        return Prediction(coefficients, self._measured(values), values)

    def _measured(self, values: Array) -> Array:
        return np.concatenate([sum(one(values, False)[0] for one in parts) for parts in self._sensors])

    def jacobian(self, prediction: Prediction) -> Array:
        """Return the derivatives by du/dm, or by one adjoint solution for each measurement if these are fewer."""
        from scipy.sparse import vstack

        values, free = prediction.state, self._free
        matrix = assemble(self._forms, self.mixed, values, np.arange(self.mixed.size))[1].tocsr()[free].tocsc()
        observed = vstack([sum((one(values)[1] for one in parts[1:]), parts[0](values)[1]) for parts in self._sensors]).tocsc()
        moved = self._moved(prediction.coefficients)
        own, right = matrix[:, free].tocsc(), matrix @ moved
        if observed.shape[0] < moved.shape[1] and not len(self._kernel.functions):
            back = factorise(own.T.tocsc())
            adjoint = np.stack([back(row) for row in observed[:, free].toarray()])
            return np.asarray(observed @ moved - adjoint @ right)
        solve = solver(own, self.mixed, free)
        moved[free] = -np.stack([solve(column) for column in right.T], axis=1)
        for column in moved.T if len(self._kernel.functions) else ():
            column[:] = self._kernel.without(column)
        return np.asarray(observed @ moved)

    def _moved(self, coefficients: Array) -> Array:
        """Return how numbers, fields and prescribed values change with the coefficients [mixed.size, P]."""
        moved = np.zeros((self.mixed.size, self.size))
        for number, (name, table) in enumerate(self._tables.items(), self.components):
            moved[self.mixed.numbers(number), self.parts[name]] = table
        background = self._background(coefficients)
        for one, space in zip(self.inverse.inferred, self.mixed.spaces[self.components :], strict=True):
            direction = self.problem.symbols.coefficient()
            slopes = _slopes_of_values(self._whole, one.symbol, direction)
            if slopes is None:
                continue
            for k, column in enumerate(self._tables[one.name].T):
                known = {**background.known, direction.count(): MeshField(space, column)}
                held = prescribed(slopes, self.mixed, Background(self.mixed.mesh, known))[0]
                moved[self._held, self.parts[one.name].start + k] = held[self._held]
        return moved


def _slopes_of_values(problem: Stated, symbol: ufl.Coefficient, direction: ufl.Coefficient) -> Stated | None:
    """Return a problem whose prescribed values are the derivatives of those of another; None if all are zero."""

    def slope(value: Any) -> Any:
        return apply_derivatives(ufl.derivative(apply_algebra_lowering(value), symbol, direction))

    boundary = tuple(replace(one, value=slope(one.value)) for one in problem.boundary if one.value is not None)
    supports = tuple(replace(one, value=slope(one.value)) for one in problem.supports)
    if all(isinstance(value, Zero) for value in (*(one.value for one in boundary), *(one.value for one in supports))):
        return None
    return replace(problem, boundary=boundary, supports=supports)


def whole_problem(problem: Stated) -> Stated:
    """Return a problem whose unknowns are the solution and, behind it, the symbols of all numbers and fields to infer.

    Its form has no test functions of these: no equation is for them.
    """
    inverse, symbols = problem.inverse, problem.symbols
    assert inverse is not None
    more = tuple(
        Unknown(one.name, f"v_{one.name}", (), one.symbol, symbols.test_function((), len(problem.unknowns) + k))
        for k, one in enumerate(inverse.inferred)
    )
    loads = tuple(
        replace(load, formulation=Weak(load.formulation.variation(problem.unknowns, symbols))) for load in problem.loads
    )
    return replace(
        problem,
        unknowns=(*problem.unknowns, *more),
        formulation=Weak(problem.variation),
        loads=loads,
        exact={},
        reference=None,
        inverse=None,
    )


def forward_problem(problem: Stated, symbols: Array) -> Stated:
    """Return the problem with a number for the symbol of each unknown number and field [unknowns]: nothing is to infer."""
    inverse = problem.inverse
    assert inverse is not None
    values: dict[Expr, Expr | float] = {one.symbol: float(value) for one, value in zip(inverse.inferred, symbols, strict=True)}
    return replace(substituted(problem, values), inverse=None)
