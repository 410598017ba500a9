"""Reduce a problem in time to ordinary differential equations for coefficients in an orthonormal space (Galerkin's method).

The unknowns are u = L(x, t) + Σ a_k(t) φ_k(x), with a lift L and functions φ that vanish where u is prescribed. Tested with the
φ, a form becomes F(t, a, a′, a″) = 0. It is linear in the highest time derivatives z of the components, so that
z = −M⁻¹ F|_{z = 0} with the mass matrix M. ``GalerkinSystem.slope`` is the right side of the differential equations.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import LinAlgWarning, lu_factor, lu_solve

from vpinn.domain import BoundaryPart, Inside, Mesh, Points
from vpinn.errors import InputError
from vpinn.features.orthonormal.conditions import Lift, LiftAtPoints
from vpinn.features.orthonormal.form import Derivative, IntegralInTime, integrals_in_time
from vpinn.features.orthonormal.in_time import spread
from vpinn.features.orthonormal.space import OrthonormalSpace
from vpinn.forms import Tape, Value
from vpinn.placement import HOST
from vpinn.problem import Problem, stated_in

Array = NDArray[np.float64]
SINGULAR = 1e-13
"""Ratio of the smallest to the largest pivot of the mass matrix up to which it counts as singular."""


@dataclass(frozen=True, eq=False)
class _Term:
    """The integrals over the domain, or over the boundary, with orthonormal functions and lifts at their points.

    Attributes:
        integral: the compiled integrals.
        points: n quadrature points.
        functions: for every component, derivative → values of the orthonormal functions [n, rank].
        lifts: lift of every component at the points.
        fixed: inputs of the tapes that depend on the points only.
    """

    integral: IntegralInTime
    points: Points
    functions: list[dict[Derivative, Array]]
    lifts: tuple[LiftAtPoints, ...]
    fixed: list[Value]


class GalerkinSystem:
    """The ordinary differential equations of a problem in time on an orthonormal space.

    Its state consists of the coefficients a [size], then of the rates a′ of components of second order in time.

    Args:
        problem: problem in weak form, or in strong form, whose equations are multiplied by test functions.
        space: orthonormal functions for its unknowns.
        lifts: lift of every component.
        degree: degree of the quadrature.
        refine: number of times that cells are halved before the rule is applied.

    Attributes:
        orders: order of the highest time derivative of every component, 1 or 2.
    """

    def __init__(self, problem: Problem, space: OrthonormalSpace, lifts: Sequence[Lift], degree: int, refine: int = 0) -> None:
        mesh, clock = problem.domain.with_cells(), problem.time
        self.problem = problem
        self.space = space
        self.lifts = tuple(lifts)
        stated = stated_in(problem.formulation)
        self.orders = tuple(clock.order(u.function, stated) for u in problem.unknowns for _ in range(u.components))
        starts = np.cumsum([0, *space.ranks])
        self.slices = [slice(int(a), int(b)) for a, b in itertools.pairwise(starts)]
        self.second = np.concatenate([np.full(r, order == 2) for r, order in zip(space.ranks, self.orders, strict=True)])
        self._terms = [self._term(integral, mesh, degree, refine) for integral in integrals_in_time(problem)]
        self._check_highest()
        self._tabulated: Callable[[float], Array] | None = None
        if self.constant_mass:
            _ = self._mass_factor

    def _term(self, integral: IntegralInTime, mesh: Mesh, degree: int, refine: int) -> _Term:
        """Evaluate orthonormal functions and lifts at the quadrature points of an integral."""
        every = integral.region.of(mesh, integral.tags).on_cells(degree, refine=refine)
        points = every.take(range(every.size))
        trials = integral.trial_jets()
        functions = self.space.jets(points, trials | integral.test_jets())
        lifts = tuple(lift.at(points, sorted(trials), 2) for lift in self.lifts)
        fixed = list(integral.linearised.fixed(self.space.trial.background.values(integral.linearised.fixed_slots, points)))
        return _Term(integral, points, functions, lifts, fixed)

    @property
    def size(self) -> int:
        """Number of coefficients of all components."""
        return self.space.size

    @property
    def states(self) -> int:
        """Length of the state."""
        return self.size + int(self.second.sum())

    @cached_property
    def points(self) -> int:
        """Number of quadrature points in the domain, those on the boundary not included."""
        return sum(len(term.points) for term in self._terms if term.integral.region is Inside)

    @cached_property
    def linear(self) -> bool:
        """Whether the equations are linear with constant coefficients; sources and boundary values may depend on time."""
        return all(all(term.integral.constant) for term in self._terms)

    @cached_property
    def steady(self) -> bool:
        """Whether neither form nor boundary values depend on time explicitly."""
        return not any(term.integral.timed for term in self._terms) and all(lift.constant for lift in self.lifts)

    @cached_property
    def constant_mass(self) -> bool:
        """Whether the mass matrix depends on neither time nor state."""
        return all(
            constant
            for term in self._terms
            for constant, (_, (order, component, _)) in zip(term.integral.constant, term.integral.slopes, strict=True)
            if order == self.orders[component]
        )

    def _check_highest(self) -> None:
        """Check that no boundary term holds the gradient of a highest time derivative."""
        for term in self._terms:
            for _, (order, component, derivative) in term.integral.slopes:
                if order == self.orders[component] and derivative and term.integral.region is BoundaryPart:
                    raise InputError("a ds term of the form holds the gradient of a time derivative, which cannot be solved yet")

    def split(self, state: Array) -> tuple[Array, Array]:
        """Return the coefficients [size] of a state, and its rates [size], zero for components of first order."""
        rates = np.zeros(self.size)
        rates[self.second] = state[self.size :]
        return state[: self.size], rates

    def joined(self, a: Array, rates: Array) -> Array:
        """Return the state [states] from coefficients [size] and rates [size]."""
        return np.concatenate([a, rates[self.second]])

    def residual(self, t: float, a: Array, rates: Array) -> Array:
        """Return F for all test functions [size], with zero for the highest time derivatives; arguments as ``matrices``."""
        total = np.zeros(self.size)
        for term in self._terms:
            outputs = self._outputs(term, term.integral.residual, t, a, rates, None)
            for (component, derivative), value in zip(term.integral.tests, outputs, strict=True):
                weighted = term.points.w * value
                total[self.slices[component]] += weighted @ term.functions[component][derivative]
        return total

    def matrices(self, t: float, a: Array, rates: Array, highest: Array | None = None) -> tuple[Array, Array, Array]:
        """Return ∂F/∂a, ∂F/∂a′ for components of second order, and M = ∂F/∂z, [size, size] each.

        Args:
            t: time.
            a: coefficients [size].
            rates: their time derivatives [size], used for components of second order.
            highest: highest time derivatives [size]; None: zero.
        """
        found = tuple(np.zeros((self.size, self.size)) for _ in range(3))
        for term in self._terms:
            integral = term.integral
            outputs = self._outputs(term, integral.linearised, t, a, rates, highest)[len(integral.tests) :]
            for ((component, derivative), (order, other, its)), value in zip(integral.slopes, outputs, strict=True):
                which = 2 if order == self.orders[other] else order
                weighted = (term.points.w * value)[:, None] * term.functions[component][derivative]
                found[which][self.slices[component], self.slices[other]] += weighted.T @ term.functions[other][its]
        return found[0], found[1], found[2]

    def _outputs(self, term: _Term, tape: Tape, t: float, a: Array, rates: Array, highest: Array | None) -> list[Array]:
        """Return the outputs of a tape at the points of a term, [n] each; arguments as ``matrices``."""
        moments = [lift(t) for lift in term.lifts]
        inputs = []
        for key in term.integral.inputs(tape):
            if key is None:
                inputs.append(torch.tensor(t, dtype=torch.float64, device=HOST))
                continue
            order, component, derivative = key
            own = self.slices[component]
            state = highest if order == self.orders[component] else (a, rates)[order]
            driven = None if state is None else state[own]
            value = moments[component][order, derivative]
            if driven is not None and driven.any():
                value = value + term.functions[component][derivative] @ driven
            inputs.append(torch.from_numpy(np.ascontiguousarray(value)))
        values = tape.moving([*term.fixed, *inputs])
        return [spread(value, len(term.points)) for value in values]

    @cached_property
    def _constant_matrices(self) -> tuple[Array, Array, Array]:
        zero = np.zeros(self.size)
        return self.matrices(self.problem.time.start, zero, zero)

    @cached_property
    def _drive(self) -> Array:
        return self.residual(self.problem.time.start, np.zeros(self.size), np.zeros(self.size))

    @cached_property
    def _mass_factor(self) -> tuple[Array, NDArray[np.int32]]:
        return self._factor(self._constant_matrices[2])

    def _factor(self, mass: Array) -> tuple[Array, NDArray[np.int32]]:
        """Return the LU factors of a mass matrix.

        Raises:
            InputError: the matrix is singular.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LinAlgWarning)  # of a zero pivot, which is reported below
            factors: tuple[Array, NDArray[np.int32]] = lu_factor(mass)
        diagonal = np.abs(np.diag(factors[0]))
        if not diagonal.min() > SINGULAR * diagonal.max():
            raise InputError(
                "the time derivatives of the form do not determine the unknowns: their matrix is singular; systems with "
                "algebraic equations cannot be marched yet",
                self.problem.where("form", self.problem.formulation.name),
            )
        return factors

    def force(self, t: float, state: Array) -> Array:
        """Return F of a state with zero highest time derivatives [size]."""
        a, rates = self.split(state)
        if not self.linear:
            return self.residual(t, a, rates)
        k, c, _ = self._constant_matrices
        return self.drive(t) + k @ a + c @ rates

    def drive(self, t: float) -> Array:
        """Return F if coefficients, rates and highest time derivatives are zero [size]: sources and boundary values."""
        if self.linear and self.steady:
            return self._drive
        if self._tabulated is not None:
            return self._tabulated(t)
        return self.residual(t, np.zeros(self.size), np.zeros(self.size))

    def tabulate(self, drive: Callable[[float], Array]) -> None:
        """Use ``drive``, a function of time, instead of sums over points for sources and boundary values of linear equations."""
        self._tabulated = drive

    def highest(self, t: float, state: Array) -> Array:
        """Return the highest time derivatives z of a state [size]."""
        force = self.force(t, state)
        if self.constant_mass:
            return np.asarray(-lu_solve(self._mass_factor, force))
        a, rates = self.split(state)
        return np.asarray(-lu_solve(self._factor(self.matrices(t, a, rates)[2]), force))

    def slope(self, t: float, state: Array) -> Array:
        """Return the time derivative of a state [states]."""
        top = self.highest(t, state)
        _, rates = self.split(state)
        return self.joined(np.where(self.second, rates, top), top)

    def jacobian(self, t: float, state: Array) -> Array:
        """Return the derivative of ``slope`` by the state [states, states]."""
        if self.linear:
            return self.linear_jacobian
        a, rates = self.split(state)
        top = None if self.constant_mass else self.highest(t, state)
        return self._jacobian(self.matrices(t, a, rates, top))

    @cached_property
    def linear_jacobian(self) -> Array:
        """Derivative of ``slope`` by the state for linear equations with constant coefficients [states, states]."""
        return self._jacobian(self._constant_matrices)

    def _jacobian(self, matrices: tuple[Array, Array, Array]) -> Array:
        k, c, mass = matrices
        n, second = self.size, self.second
        factors = self._mass_factor if self.constant_mass else self._factor(mass)
        by_state = -lu_solve(factors, np.concatenate([k, c[:, second]], axis=1))
        identity = np.zeros((n, self.states))
        identity[np.flatnonzero(second), n + np.arange(int(second.sum()))] = 1.0
        upper = np.where(second[:, None], identity, by_state)
        return np.concatenate([upper, by_state[second]])
