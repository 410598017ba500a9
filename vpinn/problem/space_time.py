"""Problems in time as steady problems over space and time: one more coordinate, t, beside those of space.

The domain is space times the time interval, as a mesh (`vpinn.domain.extrude`) or as a box without cells. Its boundary consists
of the sides at all times, the first instant (tag "initial") and the last one ("final"). A form in space, which holds at every
instant for all test functions, is integrated over time as well; then it holds for all test functions v(x, t). States at the start
become values on "initial". So every way to solve a steady problem solves one in time. Start with `over_time`.
"""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import ufl
from numpy.typing import NDArray
from ufl.algorithms.apply_algebra_lowering import apply_algebra_lowering
from ufl.algorithms.apply_derivatives import apply_derivatives
from ufl.classes import Expr, Form, Grad, Zero
from ufl.corealg.map_dag import map_expr_dag
from ufl.corealg.multifunction import MultiFunction

from vpinn.domain import INITIAL, Box, Domain, Hypercube, Points, extruded, located_points, sides_of
from vpinn.errors import InputError
from vpinn.problem.answers import Answers
from vpinn.problem.case import Case
from vpinn.problem.formulation import Formulation, Strong, Weak
from vpinn.problem.problem import Condition, Problem
from vpinn.problem.symbols import Field, KnownFunction, Symbols, make_symbols
from vpinn.problem.time import Clock
from vpinn.problem.unknown import Unknown

LEAST_LAYERS = 4
"""Smallest number of layers of cells in time, where the problem file gives none."""


def over_time(problem: Case) -> Case:
    """Return a problem in time as a steady one over space and time; a steady problem is returned as it is.

    Raises:
        InputError: the domain, or a condition, has no counterpart in space and time.
    """
    clock = problem.clock
    if clock is None:
        return problem
    if problem.periodic:
        raise InputError("periodic sides in time are for marches; leave out solver.method", problem.where("periodic"))
    if problem.answers.quantities:
        told = "quantities over time are for marches; leave them out, or leave out solver.method"
        raise InputError(told, problem.where("output", "quantities"))
    domain = _domain(problem, clock)
    symbols = make_symbols(problem.domain.dimension + 1)
    unknowns = tuple(_extended(unknown, symbols, part) for part, unknown in enumerate(problem.unknowns))
    moved = _Moved(problem, symbols, unknowns)
    sides = sides_of(problem.domain.mesh) if problem.domain.mesh is not None else tuple(problem.domain.facet_tags)
    tags = tuple(dict.fromkeys((*problem.tags, *domain.facet_tags)))
    boundary = [replace(c, on=_sides(c.on, sides), value=None if c.value is None else moved(c.value)) for c in problem.boundary]
    for state, unknown in ((state, problem.unknown(state.unknown)) for state in problem.initial):
        start = Condition((INITIAL,), state.unknown, state.component, moved(state.value), None, "auto", None, state.where)
        boundary.append(start)
        if state.rate is not None:
            rate = unknown.rates[0] if state.component is None else unknown.rates[0][state.component]
            gap = moved(rate - state.rate)
            boundary.append(Condition((INITIAL,), None, None, None, gap, "penalty", None, state.where))
    return replace(
        problem,
        domain=domain,
        symbols=symbols,
        unknowns=unknowns,
        formulation=_formulation(problem.formulation, moved, tuple(tags.index(tag) for tag in sides)),
        boundary=tuple(boundary),
        exact={name: moved(value) for name, value in problem.exact.items()},
        answers=Answers({name: moved(value) for name, value in problem.answers.fields.items()}),
        tags=tags,
        clock=None,
        initial=(),
    )


def _domain(problem: Case, clock: Clock) -> Domain:
    """Return space times the time interval; by default about as many layers in time as there are cells along an axis of space."""
    domain, section = problem.domain, problem.settings.domain
    if domain.mesh is None:
        if not isinstance(domain.shape, Box):
            where = problem.where("domain", "time")
            raise InputError("a ball and all of space have no time; use a hypercube, or a mesh for up to three dimensions", where)
        lower, upper = domain.bounds
        return Hypercube((*lower.tolist(), clock.start), (*upper.tolist(), clock.end), timed=True)
    mesh, layers = domain.with_cells(), None if section is None else section.layers
    along = round(mesh.n_cells ** (1 / mesh.dimension))
    with problem.source.located("domain", "layers" if layers else "time"):
        return extruded(mesh, clock.start, clock.end, layers or max(LEAST_LAYERS, along))


def _extended(unknown: Unknown, symbols: Symbols, part: int) -> Unknown:
    """Return an unknown as a function of space and time."""
    return replace(
        unknown, function=symbols.coefficient(unknown.shape), test=symbols.test_function(unknown.shape, part), rates=()
    )


def _sides(on: tuple[str, ...], sides: tuple[str, ...]) -> tuple[str, ...]:
    """Return the tags of a condition on the boundary in space."""
    return sides if on == ("all",) else on


def _formulation(stated: Formulation, moved: _Moved, sides: tuple[int, ...]) -> Formulation:
    """Return a formulation over space and time.

    Args:
        stated: over space, at every instant.
        moved: rewriting of its expressions.
        sides: positions of the tags of all sides, over which integrals over all of the boundary in space run.
    """
    if stated.pointwise:
        return Strong(tuple(map(moved, stated.equations)))
    lowered = apply_derivatives(apply_algebra_lowering(stated.integrals))
    parts = []
    for part in lowered.integrals():
        everywhere = part.integral_type() == "exterior_facet" and part.subdomain_id() == "everywhere"
        where = sides if everywhere else part.subdomain_id()
        parts.append(part.reconstruct(moved(part.integrand()), domain=moved.symbols.mesh, subdomain_id=where))
    return Weak(Form(parts))


class _Moved:
    """Rewriting of expressions in space, of time t and of time derivatives as expressions of space and time.

    Args:
        problem: problem in time.
        symbols: symbols of space and time.
        unknowns: unknowns over space and time, in the order of those of ``problem``.
    """

    def __init__(self, problem: Problem, symbols: Symbols, unknowns: Sequence[Unknown]) -> None:
        self.symbols, known = symbols, dict[Any, tuple[Any, int]]()
        for old, new in zip(problem.unknowns, unknowns, strict=True):
            known[old.test] = new.test, 0
            known |= {function: (new.function, order) for order, function in enumerate((old.function, *old.rates))}
        self._rules = _Rules(symbols, problem.time.t, known, problem.domain)

    def __call__(self, expression: Expr) -> Expr:
        return map_expr_dag(self._rules, apply_derivatives(apply_algebra_lowering(expression)))


@dataclass(frozen=True)
class _AtAllTimes:
    """A known field in space as one in space and time that does not change.

    Attributes:
        values: the field in space.
        domain: domain in space.
    """

    values: Field
    domain: Domain

    def jets(self, points: Points, order: int) -> dict[tuple[int, ...], NDArray[np.float64]]:
        """Return values and first derivatives at points of space and time."""
        space = self.domain.dimension
        found = self.values.jets(located_points(self.domain, points.x[:, :space])[0], order)
        return found | ({(space,): np.zeros(len(points.x))} if order else {})


class _Rules(MultiFunction):
    """What becomes of every kind of node of a lowered expression."""

    def __init__(self, symbols: Symbols, time: Any, functions: Mapping[Any, tuple[Any, int]], domain: Domain) -> None:
        super().__init__()
        self._symbols, self._time = symbols, time
        self._functions, self._domain = dict(functions), domain
        self._space = symbols.dimension - 1

    def _derived(self, o: Any, order: int) -> Any:
        """Return the derivatives in space, ``order`` of them, of a function."""
        if isinstance(o, KnownFunction) and o not in self._functions:
            self._functions[o] = self._symbols.known(o.name, _AtAllTimes(o.values, self._domain)), 0
        if o not in self._functions:  # a number that is known at run time
            return Zero((*o.ufl_shape, *(self._space,) * order)) if order else o
        function, steps = self._functions[o]
        found = function
        for _ in range(order + steps):
            found = Grad(found)
        shape = (*function.ufl_shape, *(self._space,) * order)
        if not steps and not order:
            return found
        entries = np.empty(shape, dtype=object)
        for index in itertools.product(*map(range, shape)):
            entries[index] = found[(*index, *(self._space,) * steps)]
        return ufl.as_tensor(entries.tolist()) if shape else entries[()]

    def coefficient(self, o: Any) -> Any:
        return self._symbols.x[self._space] if o == self._time else self._derived(o, 0)

    def argument(self, o: Any) -> Any:
        return self._derived(o, 0)

    def grad(self, o: Any) -> Any:
        inner, order = o, 0
        while isinstance(inner, Grad):
            inner, order = inner.ufl_operands[0], order + 1
        return self._derived(inner, order)

    def spatial_coordinate(self, o: Any) -> Any:
        return ufl.as_vector([self._symbols.x[i] for i in range(self._space)])

    def facet_normal(self, o: Any) -> Any:
        return ufl.as_vector([self._symbols.n[i] for i in range(self._space)])

    def cell_diameter(self, o: Any) -> Any:
        return self._symbols.h

    expr = MultiFunction.reuse_if_untouched
    terminal = MultiFunction.reuse_if_untouched
