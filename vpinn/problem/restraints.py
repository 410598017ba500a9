"""Conditions of a problem besides form and boundary values: bounds, ties, values held at points, loads at points and along edges.

Only finite elements can impose them, at their nodes; other methods are refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from ufl.classes import Expr

from vpinn.domain import FacingPoints, Mesh, PlacedPoints, carried_points
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
        lower: lower bound, without unknowns, of the unknown's shape, or scalar with a component; None if there is none.
        upper: upper bound; None if there is none, but one of both is given.
        where: place in the problem file.
    """

    on: tuple[str, ...] | None
    unknown: str
    component: int | None
    lower: Expr | None
    upper: Expr | None
    where: str


@dataclass(frozen=True, eq=False)
class Tie:
    """A part of the boundary that moves as one: its value, or its motion, is common to all of it and unknown.

    Attributes:
        on: boundary tags, which together make up the part.
        unknown: name of the unknown.
        component: one component of the unknown from 0; None for all.
        rigid: whether the part may turn, too, as a rigid body; the unknown is a vector with a component for every axis then.
        where: place in the problem file.
    """

    on: tuple[str, ...]
    unknown: str
    component: int | None
    rigid: bool
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
    """Terms of the form at a point, ``- F*v*delta(0.3, 0.4)``, along edges of the mesh, ``- f*v*ds('wire')``, or on an interface.

    Attributes:
        told: how it is stated, as in "delta(0.3, 0.4)".
        carriers: the point [1, 1, d], in the domain, or the ends of edges [m, 2, d]; None for an interface.
        formulation: the term, of the same kind as the form of the problem; its integrands are evaluated at these places.
        between: tags of the two groups of cells whose interface it is; None elsewhere.
    """

    told: str
    carriers: NDArray[np.float64] | None
    formulation: Formulation
    between: tuple[str, str] | None = None

    def points(self, mesh: Mesh, degree: int) -> PlacedPoints | FacingPoints:
        """Return where the terms are taken on the mesh of the problem or a refinement; a rule of a degree on edges and facets."""
        if self.between is not None:
            return FacingPoints(mesh, *self.between, degree)
        assert self.carriers is not None
        return carried_points(mesh, self.carriers, degree)
