"""The stated problem: everything later stages need, checked, and nothing about how it is solved but its settings."""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import ufl
from ufl.classes import Expr

from vpinn.domain import Hypercube, Mesh
from vpinn.errors import InputError
from vpinn.problem.formulation import Formulation
from vpinn.problem.reference import ReferenceValues
from vpinn.problem.restraints import Bound, Load, Support
from vpinn.problem.schema import Settings
from vpinn.problem.source import Source
from vpinn.problem.symbols import Symbols
from vpinn.problem.time import Clock, InitialState
from vpinn.problem.unknown import Unknown


@dataclass(frozen=True, eq=False)
class Condition:
    """A condition on part of the boundary; exactly one of value and residual is given.

    Attributes:
        on: boundary tags; ("all",) for the whole boundary.
        unknown: name of the unknown; None with a residual.
        component: one component of the unknown from 0; None for all.
        value: boundary value without unknowns, of the unknown's shape, or scalar with a component.
        residual: expression of unknowns that must vanish there, any shape; only with a strong form.
        impose: "auto", "exact", "penalty" or "nitsche"; "penalty" with a residual.
        weight: weight of a penalty or Nitsche term, > 0; None to choose it.
        where: place in the problem file.
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
class Problem:
    """A boundary value problem on a domain. Made by `read_problem` or `make_problem`, which check it.

    Attributes:
        title: free text.
        domain: mesh, or a hypercube without cells.
        settings: the validated problem file.
        symbols: coordinates, normal and cell size, as UFL symbols.
        unknowns: in the order of the file.
        formulation: the equation; integrals are over subdomain ids that are positions in ``tags``, or "everywhere".
        boundary: essential conditions; none covers a component on a tag twice.
        enrich: scalar UFL expressions of the coordinates, extra trial functions of every scalar component.
        exact: unknown → UFL expression of its shape; for comparison only. Empty when unknown.
        reference: values of the unknowns at points, from a file.
        tags: boundary and cell tags; ``tags[i]`` has the UFL subdomain id i.
        directory: where runs of this problem are written by default.
        source: the text, and the place of every key.
        clock: of a problem that depends on time; None of a steady one.
        initial: states of the unknowns at the start; none covers a component twice.
        bounds: obstacles and contact conditions.
        supports: values held at points.
        loads: terms of the form at points and along edges, which ``formulation`` and ``variation`` are without.
    """

    title: str
    domain: Mesh | Hypercube
    settings: Settings
    symbols: Symbols
    unknowns: tuple[Unknown, ...]
    formulation: Formulation
    boundary: tuple[Condition, ...]
    enrich: tuple[Expr, ...]
    exact: Mapping[str, Expr]
    reference: ReferenceValues | None
    tags: tuple[str, ...]
    directory: Path
    source: Source
    clock: Clock | None = None
    initial: tuple[InitialState, ...] = ()
    bounds: tuple[Bound, ...] = ()
    supports: tuple[Support, ...] = ()
    loads: tuple[Load, ...] = ()

    @property
    def nodal(self) -> tuple[str, str]:
        """What of the problem elements alone can meet, since they have nodes, and its place; "" where there is none."""
        if self.bounds:
            bound = self.bounds[0]
            return "an obstacle" if bound.on is None else "contact (at_least, at_most)", bound.where
        if self.supports:
            return "a value held at a point", self.supports[0].where
        return ("a load at a point or along edges", self.where("form", self.formulation.name)) if self.loads else ("", "")

    @property
    def variation(self) -> ufl.Form:
        """F(u; v), linear in the test functions, which vanishes for all of them at the solution."""
        return self.formulation.variation(self.unknowns, self.symbols)

    def unknown(self, name: str) -> Unknown:
        """Return the unknown called ``name``.

        Raises:
            InputError: there is none; lists the names.
        """
        for unknown in self.unknowns:
            if unknown.name == name:
                return unknown
        raise InputError(f"no unknown is called {name!r}; there are {', '.join(u.name for u in self.unknowns)}")

    def where(self, *key: str | int) -> str:
        """Return the place of a setting for messages, e.g. ``where("solver", "steps")`` → ``heat.toml:12``."""
        return self.source.place(*key)
