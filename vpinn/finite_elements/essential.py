"""Find the degrees of freedom that essential conditions prescribe, and their values; make start fields for Newton's method."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from ufl.classes import Expr

from vpinn.domain import LagrangeSpace, Points, bare_points
from vpinn.errors import InputError
from vpinn.finite_elements.form import offsets
from vpinn.finite_elements.mixed import MixedSpace
from vpinn.finite_elements.newton import factorise
from vpinn.forms import Background, evaluate
from vpinn.problem import Bound, Condition, Problem, Support

Array = NDArray[np.float64]


def prescribed(problem: Problem, mixed: MixedSpace, background: Background) -> tuple[Array, NDArray[np.bool_]]:
    """Return values [mixed.size], zero where none is given, and a mask of those given, same shape.

    Values held at points are those of single functions; on the boundary they are interpolated at its nodes. Where two
    conditions meet the later one holds; where a value differs between the facets of a node, as the normal does at corners, it
    is their mean.

    Raises:
        InputError: a value is not finite.
    """
    first = dict(zip((u.name for u in problem.unknowns), offsets(problem), strict=False))
    values, given = np.zeros(mixed.size), np.zeros(mixed.size, dtype=bool)
    for condition in problem.boundary:
        if condition.value is not None and condition.unknown is not None:
            at = first[condition.unknown] + (condition.component or 0)
            dofs, found = boundary_values(condition, condition.value, mixed.spaces[at], background)
            for component, row in enumerate(found, at):
                values[mixed.first[component] + dofs] = row
                given[mixed.first[component] + dofs] = True
    for support in problem.supports:
        at = first[support.unknown] + (support.component or 0)
        dofs, found = support_values(support, mixed.spaces[at], background)
        for component, row in enumerate(found, at):
            values[mixed.first[component] + dofs] = row
            given[mixed.first[component] + dofs] = True
    return values, given


def support_values(support: Support, space: LagrangeSpace, background: Background) -> tuple[NDArray[np.int64], Array]:
    """Return the functions at the vertices of a support [n] and the components of its value there [k, n].

    Raises:
        InputError: the value is not finite.
    """
    places, nodes = np.array(support.at), space.locations()
    dofs = np.array([np.linalg.norm(nodes - place, axis=1).argmin() for place in places])
    values = evaluate([support.value], bare_points(places), background)
    if not np.isfinite(values).all():
        raise InputError("the value held at a point is not finite", support.where)
    return dofs, values


def extended(mixed: MixedSpace, values: Array, given: NDArray[np.bool_]) -> Array:
    """Return values [mixed.size] with those that are not given replaced by the harmonic extension of those that are.

    This is the start of Newton's method; a jump from the boundary values to zero would be far from any solution.
    """
    result = values.copy()
    for component, space in enumerate(mixed.spaces):
        row, known = result[mixed.numbers(component)], given[mixed.numbers(component)]
        if row[known].any() and not known.all():
            stiffness = space.stiffness().tocsc()
            row[~known] = factorise(stiffness[~known][:, ~known])(-(stiffness[~known] @ row))
    return result


def bulge(mixed: MixedSpace, given: NDArray[np.bool_]) -> Array:
    """Return a field [mixed.size] with maximum one that vanishes where values are given: −Δu = 1, or else u = x."""
    result = np.zeros(given.shape)
    for component, space in enumerate(mixed.spaces):
        row, known = result[mixed.numbers(component)], given[mixed.numbers(component)]
        if known.any():
            stiffness, load = space.stiffness().tocsc(), space.mass() @ np.ones(space.size)
            row[~known] = factorise(stiffness[~known][:, ~known])(load[~known])
        else:
            row[:] = space.locations()[:, 0]
        row /= np.abs(row).max() or 1.0
    return result


def boundary_values(
    condition: Condition, value: Expr, space: LagrangeSpace, background: Background
) -> tuple[NDArray[np.int64], Array]:
    """Return the basis functions on a condition's boundary part [n], and the value's k components at their nodes [k, n].

    Raises:
        InputError: the value is not finite at a node.
    """
    points, every = condition_points(condition, space)
    found = evaluate([value], points, background)
    if not np.isfinite(found).all():
        raise InputError("finite elements: the boundary value is not finite at a node of the boundary", condition.where)
    dofs, inverse, count = np.unique(every, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(inverse.ravel(), row, len(dofs)) for row in found])
    return dofs, sums / count


def condition_points(condition: Condition | Bound, space: LagrangeSpace) -> tuple[Points, NDArray[np.int64]]:
    """Return the nodes on the facets of a condition's boundary part, facet by facet, and the functions they belong to [n]."""
    mesh = space.mesh
    facets = mesh.facets(condition.on or "all")
    closure = np.array(space.element.entity_closure_dofs[mesh.dimension - 1], dtype=np.int64)  # [n_f, p]
    cell, local = mesh.boundary[facets].T
    nodes, p = closure[local], closure.shape[1]
    cells, reference = np.repeat(cell, p), space.reference_nodes[nodes.ravel()]
    frames = mesh.frames_at(cells, reference)
    normal = np.einsum("nij,nj->ni", frames.cofactor, np.repeat(mesh.reference.facet_normals[local], p, axis=0))
    points = Points(
        x=frames.x,
        w=np.zeros(len(cells)),
        entity=np.repeat(facets, p),
        cell=cells,
        reference=reference,
        normal=normal / np.linalg.norm(normal, axis=1, keepdims=True),
        h=mesh.h[cells],
        local=np.tile(np.arange(p), len(facets)),
    )
    return points, space.dofs[cell[:, None], nodes].ravel()
