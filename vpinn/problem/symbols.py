"""UFL symbols of a problem without a mesh library: coordinates, normal, cell size, unknowns and test functions.

UFL needs an element only to know value shapes; ``Element`` is the smallest one, in any dimension.
"""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

import itertools
from dataclasses import dataclass

import ufl
from ufl.core.expr import Expr
from ufl.finiteelement import AbstractFiniteElement
from ufl.pullback import identity_pullback
from ufl.sobolevspace import H1

SIMPLEX = {1: "interval", 2: "triangle", 3: "tetrahedron"}


class Element(AbstractFiniteElement):
    """A value shape on a cell, with no basis behind it.

    Args:
        cell: UFL cell, which fixes the dimension.
        shape: value shape, () for a scalar.
        degree: formal polynomial degree; only UFL's own estimates look at it, and vpinn asks for none.
    """

    def __init__(self, cell: ufl.AbstractCell, shape: tuple[int, ...], degree: int = 2) -> None:
        self._cell, self._shape, self._degree = cell, shape, degree

    def __repr__(self) -> str:
        return f"Element({self._cell!r}, {self._shape!r}, {self._degree!r})"

    __str__ = __repr__

    def __hash__(self) -> int:
        return hash(repr(self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Element) and repr(self) == repr(other)

    sobolev_space = property(lambda self: H1)
    pullback = property(lambda self: identity_pullback)
    embedded_superdegree = property(lambda self: self._degree)
    embedded_subdegree = property(lambda self: self._degree)
    cell = property(lambda self: self._cell)
    reference_value_shape = property(lambda self: self._shape)
    sub_elements = property(lambda self: [])


@dataclass(frozen=True)
class Symbols:
    """The geometric symbols of one domain.

    Attributes:
        dimension: number of coordinates d ≥ 1.
        mesh: the UFL mesh that all symbols live on.
        x: coordinates, shape [d].
        n: outward unit normal, shape [d]; boundary integrals only.
        h: cell diameter, in units of length.
    """

    dimension: int
    mesh: ufl.Mesh
    x: ufl.SpatialCoordinate
    n: ufl.FacetNormal
    h: ufl.CellDiameter

    def coefficient(self, shape: tuple[int, ...] = ()) -> ufl.Coefficient:
        """Return a new function of the given value shape: an unknown or a known field."""
        return ufl.Coefficient(ufl.FunctionSpace(self.mesh, Element(self.mesh.ufl_cell(), shape)))

    def test_function(self, shape: tuple[int, ...] = (), part: int = 0) -> ufl.Argument:
        """Return a test function of the given value shape; ``part`` tells those of several unknowns apart."""
        space = ufl.FunctionSpace(self.mesh, Element(self.mesh.ufl_cell(), shape))
        return ufl.Argument(space, 0, part)


def make_symbols(dimension: int) -> Symbols:
    """Return the symbols of a domain with ``dimension`` coordinates (any number ≥ 1)."""
    interval = ufl.Cell("interval")
    cell = ufl.Cell(SIMPLEX[dimension]) if dimension in SIMPLEX else ufl.TensorProductCell(*[interval] * dimension)
    mesh = ufl.Mesh(Element(cell, (dimension,), 1))
    return Symbols(dimension, mesh, ufl.SpatialCoordinate(mesh), ufl.FacetNormal(mesh), ufl.CellDiameter(mesh))


def components(expression: Expr) -> list[Expr]:
    """Return the scalar components of an expression of any shape, last index fastest."""
    if expression.ufl_shape == ():
        return [expression]
    return [expression[index] for index in itertools.product(*map(range, expression.ufl_shape))]
