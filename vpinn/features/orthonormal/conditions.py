"""Impose boundary values that depend on time, by a lift: a known function that takes the values.

An unknown is the sum of its lift and of functions that vanish where it is prescribed. On a box, if the values agree where sides
meet, the lift is a transfinite interpolation, an expression of coordinates and time. Otherwise it is the discrete harmonic
extension of the values at the nodes of finite elements. The extension is linear, and the values are sums of a few products of a
function of time and one of space. The functions of space are found by a singular value decomposition of samples in time, and
each is extended once. Start from ``make_lifts``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import ufl
from numpy.typing import NDArray
from ufl.algorithms.analysis import extract_coefficients, extract_type
from ufl.classes import CellDiameter, Expr, FacetNormal, Zero

from vpinn.domain import BoundaryPart, Box, LagrangeSpace, Points, functions_per_cell
from vpinn.errors import InputError
from vpinn.features.orthonormal.in_time import AtPoints
from vpinn.features.orthonormal.space import Derivative
from vpinn.finite_elements import condition_points
from vpinn.forms import Background, components
from vpinn.problem import Case, Clock, Condition, Problem, frozen
from vpinn.problem.operators import gradient
from vpinn.trial import MeshField, Trial, harmonic, make_trial, on_box

Array = NDArray[np.float64]
Order = int
"""Order of a time derivative, 0 to 2."""
Moment = dict[tuple[Order, Derivative], Array]
"""(order of the time derivative, derivative in space) → values at one time [n]."""
DEGREES = (8, 6, 4, 3, 2)
"""Degrees of the finite elements of a lift that are tried; the first with few enough functions is taken."""
MOST = 40_000
"""Largest number of basis functions of these elements."""
SAMPLES = 65
"""Number of times at which values are sampled to find the functions of space."""
NEGLIGIBLE = 1e-13
"""Singular value of a function of space, relative to the largest, up to which it is left out."""
GAP = 1e-9
"""Difference between lift and boundary values, relative to one plus the largest value, up to which they agree."""


class Lift(Protocol):
    """A known function of space and time that takes the boundary values of one component."""

    @property
    def constant(self) -> bool:
        """Whether it does not depend on time."""

    def at(self, points: Points, wanted: Iterable[Derivative], orders: int) -> LiftAtPoints:
        """Return the lift at points as a function of time.

        Args:
            points: n points.
            wanted: derivatives in space that are needed.
            orders: highest order of time derivatives that is needed, 0 to 2.
        """

    def field(self, t: float) -> tuple[Expr, dict[int, MeshField]]:
        """Return the lift at time t as an expression, and the mesh functions in it by UFL count."""


class LiftAtPoints(Protocol):
    """Values and derivatives of a lift at points, as a function of time."""

    def __call__(self, t: float) -> Moment:
        """Return values and derivatives at time t."""


def homogeneous(problem: Case) -> Trial:
    """Return the trial space whose unknowns vanish wherever the problem prescribes them.

    Raises:
        InputError: a condition cannot be imposed exactly, as no smooth function vanishes on its boundary part alone.
    """
    conditions = tuple(
        replace(c, value=Zero(c.value.ufl_shape) if c.value is not None else None, impose="auto") for c in problem.boundary
    )
    trial = make_trial(replace(problem, boundary=conditions))
    for imposed in trial.imposed:
        if imposed.how != "exact":
            raise InputError("the values on this part of the boundary cannot be imposed exactly in time", imposed.condition.where)
    return trial


def make_lifts(problem: Problem, background: Background) -> tuple[Lift, ...]:
    """Return the lift of every component of the unknowns, in order.

    Raises:
        InputError: a value is not finite, or varies too fast in time.
    """
    found: list[Lift] = []
    for unknown in problem.unknowns:
        for component in range(unknown.components):
            prescribed = [
                (c, c.value if c.component is not None else components(c.value)[component])
                for c in problem.boundary
                if c.value is not None and c.unknown == unknown.name and c.component in (None, component)
            ]
            found.append(_lift(problem, background, prescribed))
    return tuple(found)


def _lift(problem: Problem, background: Background, prescribed: Sequence[tuple[Condition, Expr]]) -> Lift:
    clock, shape = problem.time, problem.domain.shape
    if all(isinstance(value, Zero) for _, value in prescribed):
        return SymbolicLift(problem, ufl.as_ufl(0.0))
    smooth = not any(extract_type(value, kind) for _, value in prescribed for kind in (FacetNormal, CellDiameter))
    if isinstance(shape, Box) and smooth:
        lift = on_box(shape, problem.symbols.x, [(c.on, value) for c, value in prescribed]).lift
        if _meets(problem, lift, prescribed, clock):
            return SymbolicLift(problem, lift)
    return MeshLift.of(problem, background, prescribed)


def _meets(problem: Problem, lift: Expr, prescribed: Sequence[tuple[Condition, Expr]], clock: Clock) -> bool:
    """Return whether a lift takes the prescribed values at points of the boundary at four times."""
    for condition, value in prescribed:
        points = BoundaryPart.of(problem.domain, condition.on).on_each()
        both = AtPoints([lift, value], points, Background(problem.domain), clock)
        for t in np.linspace(clock.start, clock.end, 4):
            found, wanted = both(float(t))
            if not np.all(np.abs(found - wanted) <= GAP * (1 + np.abs(wanted).max())):
                return False
    return True


class SymbolicLift:
    """A lift that is an expression of coordinates and time.

    Args:
        problem: the problem.
        expression: scalar expression of coordinates and time.
    """

    def __init__(self, problem: Problem, expression: Expr) -> None:
        self._problem, self._expression = problem, expression
        self.constant = problem.time.t not in extract_coefficients(expression)

    def at(self, points: Points, wanted: Iterable[Derivative], orders: int) -> LiftAtPoints:
        """Return the lift at points as a function of time; see ``Lift.at``."""
        clock, d = self._problem.time, self._problem.domain.dimension
        keys = []
        expressions = []
        value = self._expression
        for order in range(orders + 1):
            for derivative in wanted:
                slope = value
                for axis in derivative:
                    slope = gradient(slope, d)[axis]
                keys.append((order, derivative))
                expressions.append(slope)
            value = clock.derivative(value)
        found = AtPoints(expressions, points, Background(self._problem.domain), clock)
        return lambda t: dict(zip(keys, found(t), strict=True))

    def field(self, t: float) -> tuple[Expr, dict[int, MeshField]]:
        """Return the expression at time t, and no mesh functions."""
        return frozen(self._expression, {self._problem.time.t: t}), {}


@dataclass(frozen=True)
class MeshLift:
    """A lift that is a sum of k functions on the mesh with coefficients that depend on time.

    Attributes:
        problem: the problem.
        fields: the k functions.
        shares: matrix from values at boundary nodes to coefficients [k, values].
        values: per condition, values at its nodes, then their first and then their second time derivatives.
        constant: whether the values are independent of time.
    """

    problem: Problem
    fields: tuple[MeshField, ...]
    shares: Array
    values: tuple[AtPoints, ...]
    constant: bool

    @classmethod
    def of(cls, problem: Problem, background: Background, prescribed: Sequence[tuple[Condition, Expr]]) -> MeshLift:
        """Return the lift that takes the prescribed values.

        Raises:
            InputError: a value is not finite, or varies too fast in time for the number of samples.
        """
        mesh, clock = problem.domain.with_cells(), problem.time
        few = (p for p in DEGREES if mesh.n_cells * functions_per_cell(mesh, p) <= MOST)
        space = LagrangeSpace(mesh, next(few, DEGREES[-1]))
        dofs, sources = [], []
        for condition, value in prescribed:
            points, own = condition_points(condition, space)
            first = clock.derivative(value)
            sources.append(AtPoints([value, first, clock.derivative(first)], points, Background(mesh), clock))
            dofs.append(own)
        lift = cls(problem, (), np.empty((0, 0)), tuple(sources), all(source.constant for source in sources))
        every = np.concatenate(dofs)
        known, inverse = np.unique(every, return_inverse=True)
        last = np.empty(len(known), dtype=np.int64)
        last[inverse] = np.arange(len(every))  # the later of two conditions holds where they meet
        instants = [clock.start] if lift.constant else np.linspace(clock.start, clock.end, SAMPLES).tolist()
        samples = np.stack([lift.nodal(t)[0][last] for t in instants])
        if not np.isfinite(samples).all():
            raise InputError("a boundary value is not finite at a node of the boundary", prescribed[0][0].where)
        _, sizes, rows = np.linalg.svd(samples, full_matrices=False)
        kept = rows[sizes > NEGLIGIBLE * max(sizes[0], 1e-300)]
        shares = np.zeros((len(kept), len(every)))
        shares[:, last] = kept
        fields = []
        for row in kept:
            boundary = np.zeros(space.size)
            boundary[known] = row
            fields.append(harmonic(space, known, boundary))
        lift = replace(lift, fields=tuple(fields), shares=shares)
        if not lift.constant:
            between = [lift.nodal(t)[0][last] for t in (np.array(instants[1:]) + np.array(instants[:-1])) / 2]
            gap = max(np.abs(one - (one @ kept.T) @ kept).max() for one in between)
            if gap > 1e-8 * np.abs(samples).max():
                where = prescribed[0][0].where
                raise InputError("a boundary value varies too fast in time for a lift; shorten domain.time", where)
        return lift

    def nodal(self, t: float) -> Array:
        """Return the values at the boundary nodes and their first and second time derivatives at time t [3, values]."""
        return np.concatenate([source(t).reshape(3, -1) for source in self.values], axis=1)

    def at(self, points: Points, wanted: Iterable[Derivative], orders: int) -> LiftAtPoints:
        """Return the lift at points as a function of time; see ``Lift.at``.

        Raises:
            InputError: second derivatives in space are needed.
        """
        keys = list(wanted)
        if any(len(key) > 1 for key in keys):
            raise InputError("an equation takes second derivatives of boundary values on a mesh; write it in weak form")
        jets = [field.jets(points, max(map(len, keys), default=0)) for field in self.fields]
        columns = {key: np.stack([jet[key] for jet in jets], axis=1) for key in keys}

        def at(t: float) -> Moment:
            moments = self.nodal(t) @ self.shares.T
            return {(order, key): columns[key] @ moments[order] for order in range(orders + 1) for key in keys}

        return at

    def field(self, t: float) -> tuple[Expr, dict[int, MeshField]]:
        """Return the lift at time t as one function on the mesh."""
        symbol = self.problem.symbols.coefficient()
        coefficients = self.shares @ self.nodal(t)[0]
        values = np.sum([c * field.values for c, field in zip(coefficients, self.fields, strict=True)], axis=0)
        return symbol, {symbol.count(): MeshField(self.fields[0].space, values, lift=True)}
