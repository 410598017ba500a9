"""[[obstacle]], [[point]], bounds and ties of [[boundary]], and ``delta`` in forms → `Bound`, `Support`, `Tie`, `Load`."""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ufl.classes import Expr, Form

from vpinn.domain import Domain, Mesh, facing, located_points
from vpinn.errors import InputError
from vpinn.problem.checks import check_known
from vpinn.problem.condition_sections import Boundary, Obstacle, PointSection
from vpinn.problem.conditions import check_tags, fitted, named_unknown, refuse_overlap
from vpinn.problem.formulation import Formulation
from vpinn.problem.interfaces import BETWEEN
from vpinn.problem.parts import Pieces
from vpinn.problem.problem import Condition, Problem
from vpinn.problem.restraints import Bound, Load, Support, Tie
from vpinn.problem.schema import Settings
from vpinn.problem.scope import AT, Scope
from vpinn.problem.section import Value
from vpinn.problem.source import Source
from vpinn.problem.unknown import Unknown
from vpinn.problem.values import parse_value
from vpinn.problem.wording import closest, printable

Key = tuple[str, int]


def refuse_nodal(problem: Problem, what: str) -> None:
    """Refuse a problem that only finite elements solve where networks are trained.

    Args:
        problem: any.
        what: subject and verb of the refusal, as in "the noise report takes".

    Raises:
        InputError: it has an obstacle, contact, or a value or load at a point.
    """
    told, where = problem.nodal
    if told:
        raise InputError(f"{what} problems for networks only, and {told} needs finite elements; use vpinn solve", where)


@dataclass(frozen=True)
class NodalParts:
    """Makes them from the sections of a problem file.

    Attributes:
        settings: the sections.
        source: text of the problem file, for places in messages.
        scope: meaning of names.
        unknowns: unknowns of the problem.
        domain: its mesh.
    """

    settings: Settings
    source: Source
    scope: Scope
    unknowns: Sequence[Unknown]
    domain: Domain

    def bounds(self, boundary: Sequence[Condition], pieces: Pieces) -> tuple[Bound, ...]:
        """Return the bounds, of the domain first.

        Args:
            boundary: conditions that give values.
            pieces: tags of sections with ``where``.

        Raises:
            InputError: a tag or unknown that does not exist, a bound of the wrong shape or with unknowns in it, a bound where a
                value is given, a strong form, or no mesh.
        """
        found = [self._bound(section, ("obstacle", at), None) for at, section in enumerate(self.settings.obstacle)]
        for at, section in enumerate(self.settings.boundary):
            if section.bounded:
                key = ("boundary", at)
                check_tags(section, self.scope, self.source, key)
                bound = self._bound(section, key, (pieces[at],) if at in pieces else section.sides)
                refuse_overlap(bound, boundary, self.domain, self.source, key)
                found.append(bound)
        return tuple(found)

    def _bound(self, section: Boundary | Obstacle, key: Key, on: tuple[str, ...] | None) -> Bound:
        self._check_elements("an obstacle" if on is None else "contact", key)
        unknown = named_unknown(section, self.source, self.unknowns, key)
        limits: dict[str, Expr | None] = {}
        for name, given in (("lower", section.at_least), ("upper", section.at_most)):
            with self.source.located(*key, "at_least" if name == "lower" else "at_most"):
                limits[name] = None if given is None else self._value(given, unknown, section.component, on is not None)
        return Bound(on, unknown.name, section.component, limits["lower"], limits["upper"], self.source.place(*key))

    def ties(self, boundary: Sequence[Condition], pieces: Pieces) -> tuple[Tie, ...]:
        """Return the parts of the boundary that move as one; arguments as for ``bounds``.

        Raises:
            InputError: as for ``bounds``; or contact, a family or an inverse problem beside it, or a rigid part without axes.
        """
        found = []
        for at, section in enumerate(self.settings.boundary):
            if section.tie is None:
                continue
            key = ("boundary", at)
            check_tags(section, self.scope, self.source, key)
            mesh, unknown = self._check_elements("a tie", key), named_unknown(section, self.source, self.unknowns, key)
            on, rigid = ((pieces[at],) if at in pieces else section.sides), section.tie == "rigid"
            with self.source.located(*key, "tie"):
                if rigid and (not unknown.shape or unknown.components != mesh.dimension):
                    raise InputError(f'{unknown.name} is no displacement with a component for every axis; write tie = "equal"')
                if self.settings.obstacle or any(one.bounded for one in self.settings.boundary):
                    raise InputError("a tie stands beside no contact and no obstacle yet; leave one of them out")
                if self.settings.infer or self.settings.parameters:
                    raise InputError("a tie is for single problems whose coefficients are known; leave out infer or parameters")
            tie = Tie(on, unknown.name, section.component, rigid, self.source.place(*key))
            refuse_overlap(tie, boundary, self.domain, self.source, key)
            found.append(tie)
        return tuple(found)

    def supports(self) -> tuple[Support, ...]:
        """Return the values that are held at points.

        Raises:
            InputError: a point outside the domain, a tag without vertices, an unknown that does not exist, a value of the wrong
                shape, a strong form, or no mesh.
        """
        return tuple(self._support(section, ("point", at)) for at, section in enumerate(self.settings.point))

    def _support(self, section: PointSection, key: Key) -> Support:
        mesh = self._check_elements("a value held at a point", key)
        unknown = named_unknown(section, self.source, self.unknowns, key)
        with self.source.located(*key, "value"):
            value = self._value(section.value, unknown, section.component, False)
        with self.source.located(*key, "at" if section.on is None else "on"):
            if section.on is not None:
                if section.on not in mesh.vertex_tags:
                    raise InputError(
                        f"the mesh has no tagged vertices {printable(section.on)!r}{closest(section.on, mesh.vertex_tags)}; "
                        "tag them, or give coordinates: at"
                    )
                nodes = mesh.vertex_tags[section.on]
            else:
                assert section.at is not None
                place = self._inside(mesh, section.at)
                vertices = np.unique(mesh.vertices)
                nodes = vertices[[np.linalg.norm(mesh.nodes[vertices] - place, axis=1).argmin()]]
        at = tuple(tuple(map(float, mesh.nodes[node])) for node in nodes)
        return Support(at, unknown.name, section.component, value, self.source.place(*key))

    def split(self, stated: Formulation) -> tuple[Formulation, tuple[Load, ...]]:
        """Return a formulation without its terms at points, along edges and on interfaces, and these.

        Raises:
            InputError: a point outside the domain, groups of cells that do not touch, or no mesh; or nothing but points.
        """
        parts: dict[tuple[str, tuple[Any, ...]], list[Any]] = {}
        spread = []
        for integral in stated.integrals.integrals():
            if integral.metadata().keys() & {AT, BETWEEN}:
                term = integral.reconstruct(integral_type="cell", metadata={})  # whose integrand is taken at the point
                (place,) = integral.metadata().items()
                parts.setdefault(place, []).append(term)
            else:
                spread.append(integral)
        if not parts:
            return stated, ()
        with self.source.located("form", stated.name):
            mesh = self.domain.mesh
            if mesh is None:
                raise InputError("delta needs a mesh, whose elements have nodes; use a rectangle or a box, or a mesh file")
            if self.settings.eigen is not None:
                raise InputError("an eigenproblem has no terms at points, edges or interfaces; leave them out, or [eigen]")
            if not spread:
                raise InputError("the form has terms at points or edges alone; nothing determines the solution between them")
            kind = type(stated)
            loads = tuple(self._load(mesh, *place, kind.of(Form(terms))) for place, terms in parts.items())
            return kind.of(Form(spread)), loads

    def _load(self, mesh: Mesh, kind: str, place: tuple[Any, ...], terms: Formulation) -> Load:
        """Return terms of a kind of place, ``AT`` or ``BETWEEN``."""
        if kind == AT:
            return Load(*self._carriers(mesh, place), terms)
        near, far = place
        facing(mesh, near, far)
        if self.scope.clock is not None or self.settings.infer or self.settings.parameters:
            raise InputError("dS is for steady problems whose coefficients are known; leave out domain.time, infer or parameters")
        return Load(f"dS({near!r}, {far!r})", None, terms, (near, far))

    def _carriers(self, mesh: Mesh, place: Sequence[float | str]) -> tuple[str, np.ndarray[Any, np.dtype[np.float64]]]:
        """Return how a place is written in a form, and the point or the edges."""
        names, numbers = ([one for one in place if isinstance(one, kind)] for kind in (str, float))
        if names:
            edges = np.concatenate([mesh.edge_tags[str(name)] for name in names])
            return f"ds({', '.join(map(repr, names))})", edges
        x = self._inside(mesh, [float(one) for one in numbers])
        return f"delta({', '.join(f'{c:.10g}' for c in x)})", x[None, None]

    def _value(self, value: Value, unknown: Unknown, component: int | None, normal: bool) -> Expr:
        found = fitted(parse_value(value, self.scope), unknown, component)
        check_known(found, self.unknowns, "a value", normal=normal)
        return found

    def _inside(self, mesh: Mesh, place: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Return a point of the domain as an array [d]."""
        x = np.array(place, dtype=np.float64)
        if len(x) != mesh.dimension:
            raise InputError(f"a point of this domain has {mesh.dimension} coordinates, got {len(x)}")
        if not located_points(mesh, x[None])[1][0]:
            raise InputError(f"the point ({', '.join(f'{value:.6g}' for value in x)}) lies outside the domain")
        return x

    def _check_elements(self, what: str, key: Key) -> Mesh:
        """Return the mesh of a problem that elements can state."""
        if self.scope.clock is not None:
            raise InputError(f"{what} is for steady problems; leave out domain.time", self.source.place(*key))
        if self.domain.mesh is None:
            raise InputError(f"{what} needs a mesh, whose elements have nodes; use a rectangle or a box", self.source.place(*key))
        if self.settings.eigen is not None:
            raise InputError(f"{what} is no part of an eigenproblem; leave it out, or [eigen]", self.source.place(*key))
        if self.settings.form.strong is not None:
            raise InputError(f"{what} needs an energy or weak form, got a strong one", self.source.place(*key))
        return self.domain.mesh
