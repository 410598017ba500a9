"""The problem to solve, translated and checked: domain, unknowns, equation and conditions, without settings of its solution."""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import numpy as np
import ufl
from numpy.typing import NDArray
from ufl.classes import Expr

from vpinn.domain import Domain
from vpinn.errors import InputError
from vpinn.problem.answers import Answers
from vpinn.problem.eigen import Eigenproblem
from vpinn.problem.formulation import Formulation
from vpinn.problem.inverse import Inverse
from vpinn.problem.parameters import Parameters
from vpinn.problem.reference import ReferenceValues
from vpinn.problem.restraints import Bound, Load, Support, Tie
from vpinn.problem.source import Source
from vpinn.problem.symbols import Symbols
from vpinn.problem.time import Clock, InitialState
from vpinn.problem.unknown import Unknown


@dataclass(frozen=True, eq=False)
class Condition:
    """A condition on part of the boundary, with either a value or a residual.

    Attributes:
        on: boundary tags; ("all",) for the whole boundary.
        unknown: name of the unknown; None with a residual.
        component: component of the unknown, counted from 0; None for all components.
        value: boundary value, of the shape of the unknown, or scalar for a component; None with a residual.
        residual: expression of the unknowns, of any shape, that must vanish there; None with a value. Only with a strong form.
        impose: "auto", "exact", "penalty" or "nitsche"; "penalty" with a residual.
        weight: weight of a penalty or Nitsche term, > 0; None to choose it automatically.
        where: place in the problem file, for messages.
    """

    on: tuple[str, ...]
    unknown: str | None
    component: int | None
    value: Expr | None
    residual: Expr | None
    impose: Literal["auto", "exact", "penalty", "nitsche"]
    weight: float | None
    where: str


@dataclass(frozen=True, eq=False)
class Periodic:
    """Two periodic sides of the domain.

    Attributes:
        start: boundary tag of one.
        to: boundary tag of the other.
        unknowns: names of the unknowns that are periodic.
        shift: translation from one to the other [d], in units of length.
        factor: values on the other over those on the one: 1, or −1 where they are opposite.
    """

    start: str
    to: str
    unknowns: tuple[str, ...]
    shift: NDArray[np.float64]
    factor: float


@dataclass(frozen=True, eq=False)
class Problem:
    """A boundary value problem on a domain: mathematics, without the settings of its solution, which a `Case` adds.

    Attributes:
        title: free text.
        domain: mesh, or hypercube without cells.
        symbols: UFL symbols of coordinates, normal and cell size.
        unknowns: unknowns in the order of the file.
        formulation: the equation; the subdomain ids of its integrals are positions in ``tags``, or "everywhere".
        boundary: essential conditions; no component has two values on the same part of the boundary.
        enrich: enrich functions: UFL expressions of the coordinates, added as trial functions to every component.
        exact: unknown → exact solution as a UFL expression of its shape, used for comparison only; empty if there is none.
        reference: reference values at points, from a file; None if there are none.
        tags: boundary and cell tags; ``tags[i]`` has the UFL subdomain id i.
        source: text of the problem file, with the line of every key, for messages.
        clock: time span and symbol of time; None for a steady problem.
        initial: states of the unknowns at the start; no component has two.
        bounds: obstacles and contact conditions.
        supports: values held at points.
        ties: parts of the boundary that move as one.
        loads: terms of the form at points, along edges, on interfaces; ``formulation`` and ``variation`` are without them.
        parameters: those of a family of problems, see ``member``; None for a single problem.
        periodic: pairs of periodic sides; () if there are none.
        inverse: what is unknown beside the solution, and what was measured; None where all coefficients are known.
        eigen: right side of an eigenproblem, whose left side is the formulation; None for other problems.
        answers: further fields, and quantities, that the file asks for.
    """

    title: str
    domain: Domain
    symbols: Symbols
    unknowns: tuple[Unknown, ...]
    formulation: Formulation
    boundary: tuple[Condition, ...]
    enrich: tuple[Expr, ...]
    exact: Mapping[str, Expr]
    reference: ReferenceValues | None
    tags: tuple[str, ...]
    source: Source
    clock: Clock | None = None
    initial: tuple[InitialState, ...] = ()
    periodic: tuple[Periodic, ...] = ()
    eigen: Eigenproblem | None = None
    bounds: tuple[Bound, ...] = ()
    supports: tuple[Support, ...] = ()
    ties: tuple[Tie, ...] = ()
    loads: tuple[Load, ...] = ()
    parameters: Parameters | None = None
    inverse: Inverse | None = None
    answers: Answers = field(default_factory=Answers)

    @property
    def nodal(self) -> tuple[str, str]:
        """The part of the problem that only finite elements can impose, at their nodes, and its place; "" if there is none."""
        if self.bounds:
            bound = self.bounds[0]
            return "an obstacle" if bound.on is None else "contact (at_least, at_most)", bound.where
        if self.supports:
            return "a value held at a point", self.supports[0].where
        if self.ties:
            return "a tie", self.ties[0].where
        if not self.loads:
            return "", ""
        placed = "a load at a point or along edges" if self.loads[0].between is None else "a term over an interface"
        return placed, self.where("form", self.formulation.name)

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Names of the coordinates of a point: the axes of space, then t if the problem depends on time."""
        return (*self.domain.axes, *(("t",) if self.clock is not None else ()))

    @property
    def time(self) -> Clock:
        """The clock of a problem in time; only for such a problem."""
        assert self.clock is not None
        return self.clock

    @property
    def ranges(self) -> Parameters:
        """The parameters of a family with their ranges; only for a family."""
        assert self.parameters is not None
        return self.parameters

    @property
    def variation(self) -> ufl.Form:
        """The variation F(u; v), linear in the test functions v; the solution u satisfies F(u; v) = 0 for all v."""
        return self.formulation.variation(self.unknowns, self.symbols)

    @property
    def exact_fields(self) -> dict[str, Expr]:
        """The further fields of the exact solution; {} unless it is known for every unknown."""
        if not self.exact.keys() >= {u.name for u in self.unknowns}:
            return {}
        truths = {u.function: self.exact[u.name] for u in self.unknowns}
        return {name: ufl.replace(stated, truths) for name, stated in self.answers.fields.items()}

    def unknown(self, name: str) -> Unknown:
        """Return the unknown with a given name.

        Raises:
            InputError: no unknown has this name; the message lists the names.
        """
        for unknown in self.unknowns:
            if unknown.name == name:
                return unknown
        raise InputError(f"no unknown is called {name!r}; there are {', '.join(u.name for u in self.unknowns)}")

    def __repr__(self) -> str:
        unknowns = ", ".join(unknown.name for unknown in self.unknowns)
        time = "" if self.clock is None else f", time {self.clock.start:g} to {self.clock.end:g}"
        size = f"{self.domain.n_cells:,} cells" if self.domain.mesh is not None else "no cells"
        return f"<Problem {self.title!r}: {unknowns} in {self.domain.dimension} dimensions, {size}{time}>"

    def where(self, *key: str | int) -> str:
        """Return the place of a setting, for messages: ``where("solver", "steps")`` → ``heat.toml:12``."""
        return self.source.place(*key)


Stated = TypeVar("Stated", bound=Problem)
"""`Problem` or `Case`: a function that restates a problem returns the type that it is given."""
