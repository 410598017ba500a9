"""UFL symbols of a problem: coordinates, normal, cell size, unknowns and test functions, in any dimension.

UFL's functions need a finite element, of which only the value shape matters here; `Element` has nothing else.
"""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import ufl
from numpy.typing import NDArray
from ufl.classes import Identity, Label, MultiIndex, ScalarValue, Zero
from ufl.core.expr import Expr
from ufl.corealg.traversal import unique_pre_traversal
from ufl.finiteelement import AbstractFiniteElement
from ufl.pullback import identity_pullback
from ufl.sobolevspace import H1

from vpinn.domain import Points

MOST_EXPANDED = 3
"""Most dimensions in which UFL differentiates named expressions itself."""
SIMPLEX = {1: "interval", 2: "triangle", 3: "tetrahedron"}


class Element(AbstractFiniteElement):
    """A finite element for UFL that has a value shape but no basis functions.

    Args:
        cell: UFL cell, which gives the dimension.
        shape: value shape, () for a scalar.
        degree: formal polynomial degree, read only by UFL's estimates of degrees, which vpinn does not use.
    """

    def __init__(self, cell: ufl.AbstractCell, shape: tuple[int, ...], degree: int = 2) -> None:
        self._cell = cell
        self._shape = shape
        self._degree = degree

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


class Named(ufl.Coefficient):
    """A named expression of the coordinates, kept as one symbol, whose derivatives are taken where it is evaluated.

    UFL would carry out the derivatives of each of its parts by every coordinate, d² times as much work in d dimensions; an
    expression graph differentiates each part by those coordinates on which it depends.

    Args:
        mesh: UFL mesh of the symbols.
        definition: the expression, of any shape.
    """

    _ufl_noslots_ = True

    def __init__(self, mesh: ufl.Mesh, definition: Expr) -> None:
        super().__init__(ufl.FunctionSpace(mesh, Element(mesh.ufl_cell(), definition.ufl_shape)))
        self.definition = definition


def nameable(expression: Expr, symbols: Symbols) -> bool:
    """Return whether a named expression becomes a symbol: one of coordinates alone, in more than three dimensions."""
    if symbols.dimension <= MOST_EXPANDED or isinstance(expression, ScalarValue | Zero):
        return False
    terminals = [node for node in unique_pre_traversal(expression) if node._ufl_is_terminal_]
    allowed = (Named, ufl.SpatialCoordinate, ScalarValue, Zero, MultiIndex, Identity, Label)
    return all(isinstance(node, allowed) for node in terminals) and any(
        isinstance(node, Named | ufl.SpatialCoordinate) for node in terminals
    )


def expanded(expression: Expr) -> Expr:
    """Return an expression with its named expressions written out."""
    while found := [node for node in unique_pre_traversal(expression) if isinstance(node, Named)]:
        expression = ufl.replace(expression, {node: node.definition for node in found})
    return expression


class Field(Protocol):
    """A known scalar function, which can be evaluated at points with its first derivatives."""

    def jets(self, points: Points, order: int) -> dict[tuple[int, ...], NDArray[np.float64]]:
        """Return the value under () and, for order ≥ 1, the first derivatives under (i,), [n] each."""


class KnownFunction(ufl.Coefficient):
    """A scalar function that carries its values with it, so that every expression with it can be evaluated anywhere.

    Attributes:
        name: what messages call it.
        values: the field.
    """

    _ufl_noslots_ = True

    def __init__(self, space: ufl.FunctionSpace, name: str, values: Field) -> None:
        super().__init__(space)
        self.name, self.values = name, values


@dataclass(frozen=True)
class Symbols:
    """The UFL symbols of the geometry of a domain.

    Attributes:
        dimension: number of coordinates d ≥ 1.
        mesh: UFL mesh of all symbols.
        x: coordinates, shape [d], in units of length.
        n: outward unit normal, shape [d], dimensionless; for integrals over the boundary only.
        h: cell diameter, in units of length.
    """

    dimension: int
    mesh: ufl.Mesh
    x: ufl.SpatialCoordinate
    n: ufl.FacetNormal
    h: ufl.CellDiameter

    def named(self, definition: Expr) -> Named:
        """Return a named expression as one symbol."""
        return Named(self.mesh, definition)

    def coefficient(self, shape: tuple[int, ...] = ()) -> ufl.Coefficient:
        """Return a new function of a value shape, for an unknown or a known field."""
        return ufl.Coefficient(ufl.FunctionSpace(self.mesh, Element(self.mesh.ufl_cell(), shape)))

    def number(self) -> ufl.Coefficient:
        """Return a new function for a number, the same at every point, that is known at run time only; its gradient is zero."""
        return ufl.Coefficient(ufl.FunctionSpace(self.mesh, Element(self.mesh.ufl_cell(), (), 0)))

    def known(self, name: str, values: Field) -> KnownFunction:
        """Return the function of a scalar field that is known, such as one from a file; ``name`` is what messages call it."""
        return KnownFunction(ufl.FunctionSpace(self.mesh, Element(self.mesh.ufl_cell(), ())), name, values)

    def test_function(self, shape: tuple[int, ...] = (), part: int = 0) -> ufl.Argument:
        """Return a test function of a value shape; ``part`` is the position of its unknown among all unknowns."""
        space = ufl.FunctionSpace(self.mesh, Element(self.mesh.ufl_cell(), shape))
        return ufl.Argument(space, 0, part)


def make_symbols(dimension: int) -> Symbols:
    """Return the symbols of a domain with ``dimension`` ≥ 1 coordinates."""
    interval = ufl.Cell("interval")
    cell = ufl.Cell(SIMPLEX[dimension]) if dimension in SIMPLEX else ufl.TensorProductCell(*[interval] * dimension)
    mesh = ufl.Mesh(Element(cell, (dimension,), 1))
    return Symbols(dimension, mesh, ufl.SpatialCoordinate(mesh), ufl.FacetNormal(mesh), ufl.CellDiameter(mesh))


def components(expression: Expr) -> list[Expr]:
    """Return the scalar components of an expression of any shape, with the last index running fastest."""
    if expression.ufl_shape == ():
        return [expression]
    return [expression[index] for index in itertools.product(*map(range, expression.ufl_shape))]
