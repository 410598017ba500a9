"""Parts of a mesh given by conditions on the coordinates: groups of cells (``domain.tags``) and pieces of sides (``where``).

Start with `mark_parts`, which adds a tag to the mesh for every such part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import Domain, FacetPoints, Mesh, Points, bare_points
from vpinn.errors import InputError
from vpinn.problem.condition_sections import Boundary
from vpinn.problem.expression import parse_condition
from vpinn.problem.schema import Settings
from vpinn.problem.scope import Scope
from vpinn.problem.source import Source
from vpinn.problem.wording import printable

DEGREE = 4
"""Degree of the quadrature rule at whose points a condition is evaluated; on a facet it must hold at all points or at none."""
NO_PARTS = "a hypercube has no cells and no facets to choose from; use a rectangle, a box or a mesh file"
Pieces = Mapping[int, str]
"""Number of a [[boundary]] section with ``where`` → tag of the facets on which its condition holds."""


def mark_parts(domain: Domain, settings: Settings, scope: Scope, source: Source) -> tuple[Domain, Pieces]:
    """Return the domain with a tag for every part of the problem file, and the tags of pieces of sides.

    Args:
        domain: domain as it was read or made.
        settings: validated sections; ``domain.tags`` and ``where`` in [[boundary]] are used.
        scope: names that conditions may use: coordinates, constants and, on the boundary, the normal.
        source: text of the problem file, for messages.

    Raises:
        InputError: a text is no condition, a condition holds nowhere or changes inside a facet, or the domain has no mesh.
    """
    pieces: dict[int, str] = {}
    for name, text in (settings.domain.tags if settings.domain else {}).items():
        with source.located("domain", "tags", name):
            domain = _with_cells(domain.with_cells(NO_PARTS), name, text, scope)
    for number, section in enumerate(settings.boundary):
        if section.where is not None:
            with source.located("boundary", number, "where"):
                domain, pieces[number] = _with_piece(domain.with_cells(NO_PARTS), section, scope)
    return domain, pieces


def _with_cells(mesh: Mesh, name: str, text: str, scope: Scope) -> Mesh:
    if name == "all" or name in mesh.cell_tags:
        raise InputError(f"the domain has a group of cells {printable(name)!r} already; choose another name")
    centres = mesh.nodes[mesh.vertices].mean(axis=1)
    marked = np.flatnonzero(_holds(text, scope, bare_points(centres), mesh))
    if not len(marked):
        raise InputError(f"{printable(text)!r} holds at the centre of no cell; give more cells, or another condition")
    return replace(mesh, cell_tags={**mesh.cell_tags, name: marked})


def _with_piece(mesh: Mesh, section: Boundary, scope: Scope) -> tuple[Mesh, str]:
    text, sides = section.where or "", section.sides
    facets = mesh.facets(sides)
    rule = FacetPoints(mesh, facets, DEGREE)
    points = rule.take(range(rule.size))
    holds = _holds(text, scope, points, mesh).reshape(rule.entities, rule.per_entity)
    inside = holds.all(axis=1)
    if (mixed := holds.any(axis=1) & ~inside).any():
        place = points.x.reshape(*holds.shape, -1)[np.flatnonzero(mixed)[0]].mean(axis=0)
        near = ", ".join(f"{axis} = {value:.4g}" for axis, value in zip("xyz", place, strict=False))
        raise InputError(
            f"{printable(text)!r} changes inside a facet near {near}; let a vertex or edge of the mesh lie where it does"
        )
    if not inside.any():
        raise InputError(f"{printable(text)!r} holds nowhere on {', '.join(map(printable, sides))}; give another condition")
    name = f"{', '.join(sides)} where {text}"
    # without a shape, distances and lifts are made on the mesh, facet by facet; those of a shape exist for whole sides only
    return replace(mesh, facet_tags={**mesh.facet_tags, name: facets[inside]}, shape=None), name


def _holds(text: str, scope: Scope, points: Points, mesh: Mesh) -> NDArray[np.bool_]:
    """Return whether a condition holds at each of n points [n]."""
    from vpinn.forms import Background, evaluate  # loads torch, which reading other problems does not need

    return np.asarray(evaluate([parse_condition(text, scope)], points, Background(mesh))[0] != 0.0)
