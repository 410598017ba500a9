"""Quadrature rules on parts of cells that are not stored, and rules with random nodes; points are computed when they are drawn.

If every edge of a cell is halved r times, its reference cell has 2^{dr} equal parts, each with the points of one rule. That
gives 10⁹ points and more on a mesh of a few cells, in the memory of the points that are drawn.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import lru_cache
from math import factorial

import numpy as np

from vpinn.domain.geometry import weighted_sum
from vpinn.domain.mesh import Mesh
from vpinn.domain.quadrature import Rule
from vpinn.domain.reference import SIMPLICES, Floats, Integers, geometry_table, reference_cell
from vpinn.domain.refine import child_vertices
from vpinn.domain.sequences import Keys, SobolSequence, UniformSequence, to_simplex
from vpinn.errors import InputError

KINDS = ("gauss", "monte-carlo", "sobol", "stochastic-gauss")

Base = Callable[[Integers, Integers, Keys | None], tuple[Floats, Floats]]
"""Parts [n], numbers of points in their rules [n], and keys of draws [n] → points of the reference cell [n, d], weights [n]."""

Sampled = tuple[Floats, Floats, Floats, Floats]
EntityRule = Callable[[Integers, Integers, Integers | None, Keys | None], Sampled]
"""Entity [m], local facet [m], number in the rule [m] and keys → reference points [.., p, d], weights [.., p], geometry values
[.., p, n] and gradients [.., p or 1, d, n].

With None as the number, all p points of the rule are returned, otherwise one point for each entity (p = 1). The keys [m p] give
random nodes for every draw; None for the nodes of the set."""


def base_rule(cell: str, rule: Rule, kind: str, seed: int) -> tuple[int, Base]:
    """Return the number of points of a rule, and the rule as a function of the part of the cell.

    Args:
        cell: reference cell or facet.
        rule: Gauss rule; the kinds "monte-carlo" and "sobol" have as many points.
        kind: one of ``KINDS``.
        seed: seed of the random kinds.

    Raises:
        InputError: the kind is unknown.
    """
    q, volume = len(rule.weights), float(rule.weights.sum())
    d = rule.points.shape[1]
    uniform = UniformSequence(d, seed)

    def simplex(unit: Floats) -> Floats:
        return to_simplex(unit) if cell in SIMPLICES else unit

    if kind == "gauss":
        return q, lambda part, number, keys: (rule.points[number], rule.weights[number])
    if kind == "monte-carlo":
        return q, lambda part, number, keys: (simplex(uniform.at(part * q + number, keys)), np.full(len(part), volume / q))
    if kind == "sobol":
        sobol = SobolSequence.scrambled(d, q, seed)
        return q, lambda part, number, keys: (
            simplex((sobol.at(number) + uniform.at(part, keys)) % 1.0),
            np.full(len(part), volume / q),
        )
    if kind == "stochastic-gauss":
        return _orbits(d, uniform, volume) if cell in SIMPLICES and d > 1 else _symmetric(d, uniform)
    raise InputError(f"there is no quadrature rule {kind!r}; choose one of {', '.join(KINDS)}")


def _symmetric(d: int, uniform: UniformSequence) -> tuple[int, Base]:
    """Return an unbiased random rule on [0, 1]^d that is exact for cubics.

    In every direction it has the nodes ±u, 0 of [−1, 1] with weights 1/(3u²) and 2 − 2/(3u²), where u = U^{1/3} is drawn for each
    part and direction (Taylor & Pardo 2025, arXiv 2504.11976, rule of order 3); the rule is the product over directions.
    """

    def rule(part: Integers, number: Integers, keys: Keys | None) -> tuple[Floats, Floats]:
        u = np.cbrt(1.0 - uniform.at(part, keys))  # of (0, 1]
        side = (number[:, None] // 3 ** np.arange(d)) % 3 - 1
        end = 1.0 / (6.0 * u**2)
        weights: Floats = np.where(side == 0, 1.0 - 2.0 * end, end).prod(axis=1)
        return np.asarray(0.5 * (1.0 + side * u), dtype=np.float64), weights

    return 3**d, rule


def _orbits(d: int, uniform: UniformSequence, volume: float) -> tuple[int, Base]:
    """Return an unbiased random rule on a simplex, exact for linear functions: all (d + 1)! permutations of a random point."""
    symmetries = np.array(list(itertools.permutations(range(d + 1))))

    def rule(part: Integers, number: Integers, keys: Keys | None) -> tuple[Floats, Floats]:
        point = to_simplex(uniform.at(part, keys))
        barycentric = np.concatenate([1.0 - point.sum(axis=1, keepdims=True), point], axis=1)
        turned = np.take_along_axis(barycentric, symmetries[number], axis=1)
        return turned[:, 1:], np.full(len(part), volume / len(symmetries))

    return factorial(d + 1), rule


def virtual_rule(mesh: Mesh, q: int, base: Base, refine: int, on_facets: bool) -> EntityRule:
    """Return the rule of cells or facets that are halved ``refine`` times, with the q points of a base rule in each part."""
    cell = mesh.reference
    name = cell.facet_cell if on_facets else cell.name
    copies = 2 ** ((cell.dimension - on_facets) * refine)
    columns, affine = np.swapaxes(cell.facet_axes, 1, 2), mesh.affine
    _, slopes = geometry_table(mesh.cell, mesh.order, cell.vertices[:1])  # the same all over an affine cell

    def rule(entity: Integers, facet: Integers, local: Integers | None, keys: Keys | None) -> Sampled:
        number = np.arange(q * copies)[None] if local is None else local[:, None]
        shape = len(entity), number.shape[1]
        part, inside = np.divmod(np.broadcast_to(number, shape).ravel(), q)
        unit, weights = base(np.repeat(entity, shape[1]) * copies + part, inside, keys)
        points = in_part(name, refine, part, unit).reshape(*shape, unit.shape[1])
        if on_facets:
            points = cell.facet_origin[facet][:, None] + weighted_sum(points, columns[facet][:, None])
        values, gradients = geometry_table(mesh.cell, mesh.order, points)
        return points, weights.reshape(shape) / copies, values, slopes if affine else gradients

    return rule


def in_part(cell: str, levels: int, part: Integers, points: Floats) -> Floats:
    """Return points [n, d] mapped from the reference cell to parts of it.

    Args:
        cell: reference cell or facet.
        levels: number of halvings r ≥ 0.
        part: numbers of the parts [n], 0 … 2^{dr} − 1; their digits of base 2^d, from the highest on, select a child of the
            cell, a child of this child, and so on.
        points: points of the reference cell [n, d].
    """
    d = points.shape[1]
    if not d:
        return points
    origin, axes = _children(cell)
    for level in range(levels):
        child = (part >> d * level) & (2**d - 1)
        points = origin[child] + weighted_sum(points, axes[child])
    return points


def in_all_parts(cell: str, levels: int, points: Floats) -> Floats:
    """Return the points of a rule [q, d] in all parts of the reference cell, part by part [2^{dr} q, d]; see ``in_part``."""
    copies = 2 ** (points.shape[1] * levels)
    return in_part(cell, levels, np.repeat(np.arange(copies), len(points)), np.tile(points, (copies, 1)))


@lru_cache
def _children(cell: str) -> tuple[Floats, Floats]:
    """Return the first vertex [2^d, d] and the axes [2^d, d, d] (one per row) of the children of a reference cell."""
    vertices = child_vertices(cell)[0]
    d = vertices.shape[2]
    corners = reference_cell(cell).vertices
    units = [int(np.flatnonzero((corners == unit).all(axis=1))[0]) for unit in np.eye(d)]
    first = vertices[:, 0]
    return first, vertices[:, units] - first[:, None]
