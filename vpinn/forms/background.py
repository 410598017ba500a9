"""Values that depend on the points alone: coordinates, normals, cell sizes, tags, and known functions.

`Background` provides them for tapes; `evaluate` computes expressions that contain nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement

import numpy as np
import torch
import ufl
from numpy.typing import NDArray
from torch import Tensor

from vpinn.domain import REGIONS, Domain, Points, Region
from vpinn.errors import InputError
from vpinn.forms.graph import Geometry, Given, Graph, Jet, Slot
from vpinn.forms.lowering import build
from vpinn.forms.operations import Value
from vpinn.forms.tape import compile_tape
from vpinn.placement import HOST, host
from vpinn.problem.symbols import Field, components

Array = NDArray[np.float64]
Jets = Mapping[tuple[int, ...], Array]
"""Coordinates by which a field is differentiated → its values at points [n]."""


@dataclass(frozen=True)
class RunNumber:
    """A number that is known at run time, as a field: the same at every point.

    Attributes:
        value: the number.
    """

    value: float

    def jets(self, points: Points, order: int) -> dict[tuple[int, ...], Array]:
        """Return the number under (), and zeros under all derivatives up to an order, [n] each."""
        n, d = points.x.shape
        zeros = {i: np.zeros(n) for k in range(1, order + 1) for i in combinations_with_replacement(range(d), k)}
        return {(): np.full(n, self.value), **zeros}


@dataclass(frozen=True)
class Background:
    """All values on a domain that training does not change.

    Attributes:
        domain: mesh or hypercube.
        known: count of the UFL coefficient of a known function → its field.
    """

    domain: Domain
    known: Mapping[int, Field] = field(default_factory=dict)

    def values(self, slots: Sequence[Slot], points: Points) -> list[Tensor]:
        """Return the values of slots at n points, one float64 tensor [n] per slot.

        Raises:
            InputError: a slot is no known function, a second derivative of a mesh function, or a normal inside the domain.
        """
        jets = {
            count: known.jets(points, order)
            for count, known in self.known.items()
            if (order := max((len(s.derivative) for s in slots if isinstance(s, Jet) and s.function == count), default=-1)) >= 0
        }
        highest: dict[Field, int] = {}
        for slot in slots:
            if isinstance(slot, Given):
                highest[slot.values] = max(highest.get(slot.values, 0), len(slot.derivative))
        given = {values: values.jets(points, order) for values, order in highest.items()}
        return [torch.tensor(self._value(slot, points, jets, given), device=HOST) for slot in slots]

    def _value(self, slot: Slot, points: Points, jets: Mapping[int, Jets], given: Mapping[Field, Jets]) -> Array:
        if isinstance(slot, Given):
            if slot.derivative not in given[slot.values]:
                raise InputError(f"an expression needs second derivatives of {slot.name}, which has first ones at most")
            return given[slot.values][slot.derivative]
        if isinstance(slot, Jet):
            if slot.function not in jets:
                raise InputError("an expression contains a function that has no value here; use coordinates and constants only")
            if slot.derivative not in jets[slot.function]:
                raise InputError(
                    "an expression needs second derivatives of a function on the mesh, which has none; use penalty or nitsche"
                )
            return jets[slot.function][slot.derivative]
        assert isinstance(slot, Geometry)
        if slot.name == "x":
            return points.x[:, slot.index]
        if slot.name == "h":
            return points.h
        if slot.name == "n":
            if points.normal is None:
                raise InputError("the normal n exists on the boundary only; use it in ds(…) and boundary conditions")
            return points.normal[:, slot.index]
        entity, name = slot.name.split(" ", 1)
        (region,) = (one for one in REGIONS if one.entity == entity)
        return region.holds(self.domain, name, points).astype(np.float64)


def tag(name: str, region: type[Region]) -> Geometry:
    """Return the slot with the value 1 in a tagged part of a kind of region and 0 elsewhere."""
    return Geometry(f"{region.entity} {name}")


def evaluate(expressions: Sequence[ufl.core.expr.Expr], points: Points, background: Background) -> Array:
    """Evaluate expressions without unknowns at points.

    Args:
        expressions: UFL expressions of any shape.
        points: n points of the domain.
        background: domain and known functions.

    Returns:
        values of all k scalar components [k, n], float64.
    """
    graph = Graph()
    tape = compile_tape(graph, [build(graph, part) for expression in expressions for part in components(expression)])
    fixed: Sequence[Value] = background.values(tape.fixed_slots, points)
    values = tape.moving(tape.fixed(fixed))
    n = len(points.x)
    return np.stack([host(v) if isinstance(v, Tensor) else np.full(n, v) for v in values])
