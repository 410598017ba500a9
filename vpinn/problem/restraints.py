"""What a problem states beside form and boundary values: bounds, values held at points, loads at points and along edges.

Elements have nodes, at which these are stated; a network or features have none, and are refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from ufl.classes import Expr

from vpinn.problem.formulation import Formulation

Place = tuple[float, ...]
"""Coordinates of a point [d]."""


@dataclass(frozen=True, eq=False)
class Bound:
    """A one-sided condition: an obstacle in the domain, or contact on a part of the boundary.

    Attributes:
        on: boundary tags; None for all of the domain.
        unknown: name of the unknown.
        component: one component of the unknown from 0; None for all.
        lower: what the unknown is at least, without unknowns, of its shape, or scalar with a component; None without.
        upper: what it is at most; one of both is given.
        where: place in the problem file.
    """

    on: tuple[str, ...] | None
    unknown: str
    component: int | None
    lower: Expr | None
    upper: Expr | None
    where: str


@dataclass(frozen=True, eq=False)
class Support:
    """A value held at points of the mesh.

    Attributes:
        at: vertices of the mesh, by their coordinates, which refinement keeps.
        unknown: name of the unknown.
        component: one component of the unknown from 0; None for all.
        value: without unknowns, of the unknown's shape, or scalar with a component.
        where: place in the problem file.
    """

    at: tuple[Place, ...]
    unknown: str
    component: int | None
    value: Expr
    where: str


@dataclass(frozen=True, eq=False)
class Load:
    """Terms of the form at one point, ``- F*v*delta(0.3, 0.4)``, or along edges of the mesh, ``- f*v*ds('wire')``.

    Attributes:
        told: how it is stated, as in "delta(0.3, 0.4)".
        carriers: the point [1, 1, d], in the domain, or the ends of edges [m, 2, d].
        formulation: the term, of the same kind as the form of the problem; its integrands are evaluated at these places.
    """

    told: str
    carriers: NDArray[np.float64]
    formulation: Formulation
