"""What the names in expressions stand for, and which names a problem may define."""

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
from vpinn.problem.operators import MEASURES, SYNTAX, make_operators
from vpinn.problem.symbols import Symbols
from vpinn.problem.time import Clock
from vpinn.problem.wording import closest, printable

RESERVED = frozenset({"t", "n", "h", "pi", "dS", "dt", *MEASURES, *SYNTAX, *make_operators(1)})
AT = "at"
"""Key of a measure's metadata that says at which point it is, by coordinates, or along which edges, by names."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True)
class Scope:
    """The meaning of names on one domain.

    Attributes:
        symbols: the geometry.
        names: name → UFL expression: coordinates, constants, unknowns, test functions, earlier expressions.
        facet_tags: boundary parts that ds takes.
        cell_tags: groups of cells that dx takes.
        edge_tags: groups of edges, in the plane inside, that ds takes, too.
        clock: of a problem that depends on time, with the unknowns defined so far; None of a steady one.
    """

    symbols: Symbols
    names: Mapping[str, Expr]
    facet_tags: tuple[str, ...] = ()
    cell_tags: tuple[str, ...] = ()
    clock: Clock | None = None
    edge_tags: tuple[str, ...] = ()

    @property
    def tags(self) -> tuple[str, ...]:
        """All tags; ``tags[i]`` has the UFL subdomain id i."""
        return tuple(dict.fromkeys((*self.facet_tags, *self.cell_tags)))

    @property
    def coordinates(self) -> str:
        """The letters among x, y, z that the domain has."""
        return "xyz"[: self.symbols.dimension]

    def measure(self, name: str, *tags: str) -> Measure:
        """Return dx or ds over the cells or boundary parts with the given tags; without tags, or with "all", over all.

        Raises:
            InputError: a tag that the domain does not have; lists those it has.
        """
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
        over = "everywhere" if not ids else ids[0] if len(ids) == 1 else tuple(dict.fromkeys(ids))
        return Measure(name, domain=self.symbols.mesh, subdomain_id=over)

    def point(self, *coordinates: float) -> Measure:
        """Return the measure of one point, of unit mass."""
        return Measure("vertex", domain=self.symbols.mesh, metadata={AT: tuple(map(float, coordinates))})

    def timed(self, clock: Clock) -> Scope:
        """Return the scope of a problem that depends on time, in which t is time."""
        return replace(self, names={**self.names, "t": clock.t}, clock=clock)

    def define(self, name: str, value: Expr) -> Scope:
        """Return the scope with one more name.

        Raises:
            InputError: not an identifier of at most 64 ASCII letters, digits and _; reserved; or defined before.
        """
        if not _NAME.fullmatch(name) or keyword.iskeyword(name):
            raise InputError(f"{printable(name)!r} cannot be a name; use letters, digits and _, not starting with a digit")
        if name in RESERVED or name in self.coordinates:
            raise InputError(f"{name!r} has a fixed meaning in expressions; choose another name")
        if name in self.names:
            raise InputError(f"{name!r} is defined twice; choose another name")
        return replace(self, names={**self.names, name: value})


def make_scope(symbols: Symbols, facet_tags: tuple[str, ...] = (), cell_tags: tuple[str, ...] = (), meshed: bool = True) -> Scope:
    """Return the scope that every problem on a domain starts from: coordinates, n, pi, and h where there are cells."""
    names: dict[str, Expr] = {name: symbols.x[axis] for axis, name in enumerate("xyz"[: symbols.dimension])}
    names |= {"n": symbols.n, "pi": ufl.as_ufl(ufl.pi)}
    if meshed:
        names["h"] = symbols.h
    return Scope(symbols, names, facet_tags, cell_tags)
