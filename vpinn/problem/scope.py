"""Scopes: the meaning of names in expressions, and the names that a problem may define."""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import ufl
from ufl.classes import Expr
from ufl.measure import Measure

from vpinn.errors import InputError
from vpinn.problem.functions import FIXED
from vpinn.problem.interfaces import BETWEEN, Sides
from vpinn.problem.operators import MEASURES, SYNTAX, make_operators
from vpinn.problem.symbols import Symbols
from vpinn.problem.time import Clock
from vpinn.problem.wording import closest, printable

RESERVED = frozenset({"t", "n", "h", "pi", "dS", "dt", *MEASURES, *SYNTAX, *make_operators(1)}) - {"delta"}
AT = "at"
"""Key of a measure's metadata that says at which point it is, by coordinates, or along which edges, by names."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True)
class Scope:
    """The meaning of names in the expressions of a problem.

    Attributes:
        symbols: UFL symbols of the domain.
        names: name → UFL expression: coordinates, constants, unknowns, test functions, and earlier expressions.
        facet_tags: tags of the boundary, for ds.
        cell_tags: tags of cells, for dx.
        clock: time of the problem, with the time derivatives of the unknowns defined so far; None for a steady problem.
        edge_tags: tags of edges, in the plane inside the domain, for ds too.
        sides: both values of unknowns on interfaces, in a form; None elsewhere.
    """

    symbols: Symbols
    names: Mapping[str, Expr]
    facet_tags: tuple[str, ...] = ()
    cell_tags: tuple[str, ...] = ()
    clock: Clock | None = None
    edge_tags: tuple[str, ...] = ()
    sides: Sides | None = None

    @property
    def tags(self) -> tuple[str, ...]:
        """All tags; ``tags[i]`` has the UFL subdomain id i."""
        return tuple(dict.fromkeys((*self.facet_tags, *self.cell_tags)))

    @property
    def coordinates(self) -> str:
        """The names x, y, z of the coordinates, as many as the domain has (three at most)."""
        return "xyz"[: self.symbols.dimension]

    def measure(self, name: str, *tags: str) -> Measure:
        """Return dx or ds over the parts with the given tags, or over everything without a tag or with "all"; or dS.

        Args:
            name: "dx", "ds" or "dS".
            tags: tags of cells for dx, of the boundary for ds, of the two groups of cells whose interface it is for dS.

        Raises:
            InputError: the domain does not have a tag; the message lists the tags it has.
        """
        if name == "dS":
            if self.sides is None:
                raise InputError(
                    "dS is for terms of an energy or weak form and for quantities, between two groups of cells with tags"
                )
            if len(tags) != 2 or tags[0] == tags[1]:
                raise InputError(f"dS takes two groups of cells, as in dS('a', 'b'); tagged are {', '.join(self.cell_tags)}")
            return Measure("vertex", domain=self.symbols.mesh, metadata={BETWEEN: tags})
        if name == "ds" and tags and set(tags) <= set(self.edge_tags):
            return Measure("vertex", domain=self.symbols.mesh, metadata={AT: tags})
        known = self.facet_tags if name == "ds" else self.cell_tags
        ids: list[int] = []
        for tag in tags if tags != ("all",) else ():
            if tag not in known:
                kind, others = ("boundary part", self.edge_tags) if name == "ds" else ("group of cells", ())
                near = closest(tag, (*known, *others)) or " and none is tagged"
                raise InputError(f"the domain has no {kind} {printable(tag)!r}{near}")
            ids.append(self.tags.index(tag))
        over = ids[0] if len(ids) == 1 else tuple(dict.fromkeys(ids)) or "everywhere"
        return Measure(name, domain=self.symbols.mesh, subdomain_id=over)

    def point(self, *coordinates: float) -> Measure:
        """Return the measure of one point, of unit mass."""
        return Measure("vertex", domain=self.symbols.mesh, metadata={AT: tuple(map(float, coordinates))})

    def timed(self, clock: Clock) -> Scope:
        """Return the scope with a clock and the name t for time."""
        return replace(self, names={**self.names, "t": clock.t}, clock=clock)

    def define(self, name: str, value: Expr) -> Scope:
        """Return the scope with one more name.

        Raises:
            InputError: the name is no identifier of at most 64 ASCII letters, digits and _, is reserved, or is already defined.
        """
        if not _NAME.fullmatch(name) or keyword.iskeyword(name):
            raise InputError(f"{printable(name)!r} cannot be a name; use letters, digits and _, not starting with a digit")
        if name in RESERVED or name in self.coordinates:
            meaning = FIXED.get(name, "a coordinate" if name in self.coordinates else "a function")
            raise InputError(f"{name!r} has a fixed meaning in expressions: {meaning}; choose another name")
        if name in self.names:
            raise InputError(f"{name!r} is defined twice; choose another name")
        return replace(self, names={**self.names, name: value})


def make_scope(symbols: Symbols, facet_tags: tuple[str, ...] = (), cell_tags: tuple[str, ...] = (), meshed: bool = True) -> Scope:
    """Return a scope with the names that every problem has: coordinates, n, pi, and h if the domain has cells.

    Args:
        symbols: UFL symbols of the domain.
        facet_tags: tags of the boundary.
        cell_tags: tags of cells.
        meshed: whether the domain has cells.
    """
    names: dict[str, Expr] = {name: symbols.x[axis] for axis, name in enumerate("xyz"[: symbols.dimension])}
    names |= {"n": symbols.n, "pi": ufl.as_ufl(ufl.pi)}
    if meshed:
        names["h"] = symbols.h
    return Scope(symbols, names, facet_tags, cell_tags)
