"""What the signs of a form's terms tell: that a solution is the only one, or that an energy has no least value.

A linear form is a sum of integrals of q(u, ∇u; v, ∇v), a bilinear form Q at every point. Equations may be
multiplied by −1, and of Q only the symmetric part counts in a(u, u). If that is never negative, has no products of values and
derivatives, and is positive on all gradients but, for vectors, those of rotations, then a(u, u) = 0
holds for constants and rigid motions of every piece of the mesh at most (Korn's inequality). Elements contain these, so that
there is one solution if conditions hold each of them, or a(u, u) is positive for it, however far coefficients lie apart.
`unique_by_signs` looks at that. If an equation of one unknown contains others that do not depend on it, each is looked at alone.

If a matrix of elements has a negative eigenvalue, an energy falls along its vector: `unbounded_energy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array
from scipy.sparse.csgraph import connected_components

from vpinn.analysis.pieces import moved_pieces, pieces_of
from vpinn.domain import Inside, Mesh, functions_per_cell
from vpinn.errors import VpinnError
from vpinn.factors import ON_DIAGONAL, SparseFactors
from vpinn.finite_elements import MixedSpace, assemble, motions, rule_degree
from vpinn.finite_elements.assembly import Discrete
from vpinn.finite_elements.essential import prescribed
from vpinn.finite_elements.form import Integrand, Key, integrands, offsets
from vpinn.finite_elements.mixed import lower
from vpinn.finite_elements.solution import interpolated
from vpinn.forms import Background
from vpinn.placement import HOST, host
from vpinn.problem import Problem
from vpinn.solution import Solution

Array = NDArray[np.float64]
ROUNDING = 1e-10
"""Size of a negative or skew part of Q, relative to its largest entry at a point, up to which it is rounding."""
POSITIVE = 1e-9
"""Least eigenvalue of Q on gradients without rotations, relative to its largest, from which it counts as positive."""
HELD = 1e-9
"""Size of a motion of norm one in the functions that conditions give from which they hold it."""
FELT = 1e-14
"""Value of a(u, u) for a motion u, relative to the sum of its terms' sizes, from which it is positive; rounding leaves 1e-16."""
SMALLEST = 1e-30
"""Size of an entry of the diagonal, relative to the largest, up to which it is zero: nothing is told then."""
NEGATIVE = 1e-8
"""Size of a negative pivot of such a matrix from which it is no rounding."""
RULE = 4
"""Degree of the quadrature at whose points Q is looked at."""
PIECES = 20
"""Largest number of pieces of a mesh whose motions are looked at."""
MOST = 20_000
"""Largest number of functions of elements, of all components, whose matrix is looked at."""


def unique_by_signs(problem: Problem) -> bool:
    """Return whether the signs of its terms prove that a linear problem has one solution; False where they prove nothing."""
    mesh = problem.domain.mesh
    if mesh is None or problem.formulation.pointwise or any(c.residual is not None for c in problem.boundary):
        return False
    if pieces_of(mesh)[0] > PIECES:
        return False
    degree = max(1, mesh.order)
    if mesh.n_cells * functions_per_cell(mesh, degree) * offsets(problem)[-1] > MOST:
        return False
    try:
        parts = integrands(problem)
        if not all(part.linear for part in parts):
            return False
        groups, signs = _groups(problem, parts), _signs(problem, mesh, parts)
        if not all(_signed(problem, mesh, parts, group, signs) for group in groups):
            return False
        return all(_still(problem, mesh, parts, group, signs) for group in groups)
    except VpinnError:
        return False


def unbounded_energy(solution: Solution) -> str:
    """Return a line for the user if the energy of the problem falls somewhere about a solution, so that this is no least value.

    A multiplier, such as a pressure, makes every energy a saddle; nothing is said then, nor where the exact solution is stated of
    a nonlinear problem, which says which one is meant.
    """
    problem = solution.problem
    mesh = problem.domain.mesh
    if mesh is None or problem.formulation.squared:
        return ""
    degree = next((p for p in (2, 1) if mesh.n_cells * functions_per_cell(mesh, p) * offsets(problem)[-1] <= MOST), None)
    try:
        parts = integrands(problem)
        linear = all(part.linear for part in parts)
        if degree is None or (problem.exact and not linear):
            return ""
        if any(lower(offsets(problem)[-1], [pair for part in parts for pair in part.slopes], mesh.dimension)):
            return ""
        falls = _falls(problem, mesh, parts, max(degree, mesh.order), None if linear else solution)
    except VpinnError:
        return ""
    if not falls:
        return ""
    if linear:
        return (
            "it has no least value, as it falls without bound along some functions; its derivative vanishes at this solution; "
            "look for a wrong sign, or write the derivative as form.weak if that is meant"
        )
    return (
        "the solution is no least value: some functions nearby have less energy; look for a wrong sign, start elsewhere "
        "(solver.seed), or write the derivative as form.weak if any solution will do"
    )


def _groups(problem: Problem, parts: Sequence[Integrand]) -> list[NDArray[np.int64]]:
    """Return the components [k] of unknowns that depend on each other, group by group."""
    owner = np.repeat(np.arange(len(problem.unknowns)), [unknown.components for unknown in problem.unknowns])
    pairs = {(int(owner[test[0]]), int(owner[trial[0]])) for part in parts for test, trial in part.slopes}
    rows, columns = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2).T
    joined = csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(problem.unknowns),) * 2)
    labels = connected_components(joined, directed=True, connection="strong")[1]
    return [np.flatnonzero(labels[owner] == label) for label in np.unique(labels)]


def _signs(problem: Problem, mesh: Mesh, parts: Sequence[Integrand]) -> Array:
    """Return −1 for components whose own terms with gradients are negative, as of a potential beside a displacement, else 1."""
    found = np.ones(offsets(problem)[-1])
    for part in parts:
        if part.region is Inside and part.load is None:
            keys = sorted({key for pair in part.slopes for key in pair if key[1] > 0})
            own = np.einsum("qkk->k", _at_points(mesh, part, keys))
            for (component, _), value in zip(keys, own, strict=True):
                if value < 0.0:
                    found[component] = -1.0
    return found


def _signed(problem: Problem, mesh: Mesh, parts: Sequence[Integrand], group: NDArray[np.int64], signs: Array) -> bool:
    """Return whether the symmetric part of Q is never negative, and positive on gradients but for rotations.

    Args:
        problem: the problem.
        mesh: its mesh.
        parts: integrands of its form.
        group: components that are looked at.
        signs: factors of the equations, by component.
    """
    d, elliptic = mesh.dimension, False
    for part in parts:
        keys = sorted({key for pair in part.slopes for key in pair if key[0] in group})
        if not any(test[0] in group and trial[0] in group for test, trial in part.slopes):
            continue
        q = _at_points(mesh, part, keys) * np.array([signs[component] for component, _ in keys])[:, None]
        q = _without_units(problem, (q + q.swapaxes(1, 2)) / 2, keys, d)
        place = np.array([key[1] % (d + 1) > 0 for key in keys])
        if not np.isfinite(q).all() or q[:, place[:, None] != place[None, :]].any():
            return False
        if (np.linalg.eigvalsh(q).min(axis=1) < -ROUNDING * np.abs(q).max(axis=(1, 2))).any():
            return False
        if part.region is Inside and part.load is None:
            elliptic = _on_gradients(problem, q, keys, group, d)
            if not elliptic:
                return False
    return elliptic


def _without_units(problem: Problem, q: Array, keys: Sequence[Key], d: int) -> Array:
    """Return a symmetric Q [n, keys, keys] in units in which the own terms of every unknown have size one; nan if it has none."""
    names = [unknown.name for unknown in problem.unknowns for _ in range(unknown.components)]
    kinds = [(names[component], place % (d + 1) > 0) for component, place in keys]
    own = np.abs(np.einsum("qkk->qk", q))
    sizes = np.stack([own[:, [other == kind for other in kinds]].max(axis=1) for kind in kinds], axis=1)
    lost = (sizes == 0.0) & (q != 0.0).any(axis=2)
    scale = np.sqrt(np.where(sizes > 0.0, sizes, 1.0))
    scaled = q / scale[:, :, None] / scale[:, None, :]
    return np.where(lost.any(axis=1)[:, None, None], np.nan, scaled)


def _on_gradients(problem: Problem, q: Array, keys: Sequence[Key], group: NDArray[np.int64], d: int) -> bool:
    """Return whether Q [n, keys, keys] is positive on the gradients of a group of components, but for rotations."""
    slopes = [(int(component), 1 + axis) for component in group for axis in range(d)]
    if any(key not in keys for key in slopes):
        return False
    at = [keys.index(key) for key in slopes]
    block = q[:, at][:, :, at]
    turned = np.zeros((len(slopes),) * 2)
    for unknown, first in zip(problem.unknowns, offsets(problem), strict=False):
        if unknown.shape and unknown.components == d and first in group:
            for i in range(d):
                for j in range(i):
                    rotation = np.zeros(len(slopes))
                    rotation[slopes.index((first + i, 1 + j))], rotation[slopes.index((first + j, 1 + i))] = 1.0, -1.0
                    turned += np.outer(rotation, rotation)
    largest = np.abs(block).max(axis=(1, 2))
    least = np.linalg.eigvalsh(block + largest[:, None, None] * turned).min(axis=1)
    return bool(((least >= POSITIVE * largest) & (largest > 0.0)).all())


def _at_points(mesh: Mesh, part: Integrand, keys: Sequence[Key]) -> Array:
    """Return Q [n, keys, keys] at the points of an integrand: rows are tests, columns unknowns, in the order of ``keys``."""
    points = part.points(mesh, RULE)
    taken, tape = points.take(range(points.size)), part.linearised
    zeros = [torch.zeros(len(taken.x), dtype=torch.float64, device=HOST) for _ in part.inputs(tape)]
    values = tape.moving([*tape.fixed(Background(mesh).values(tape.fixed_slots, taken)), *zeros])[len(part.tests) :]
    q = np.zeros((len(taken.x), len(keys), len(keys)))
    for (test, trial), value in zip(part.slopes, values, strict=True):
        if test in keys and trial in keys:
            q[:, keys.index(test), keys.index(trial)] = host(value) if isinstance(value, torch.Tensor) else value
    return q


def _still(problem: Problem, mesh: Mesh, parts: Sequence[Integrand], group: NDArray[np.int64], signs: Array) -> bool:
    """Return whether no constant or rigid motion of a piece, in a group of components, is left free.

    Args:
        problem: the problem.
        mesh: its mesh.
        parts: integrands of its form.
        group: components that are looked at.
        signs: factors of the equations, by component.
    """
    mixed, background = MixedSpace.of(mesh, [max(1, mesh.order)] * len(signs)), Background(mesh)
    own = [motion for motion in motions(problem) if set(motion.components) <= set(group.tolist())]
    basis = np.linalg.qr(np.concatenate([*moved_pieces(mixed, own)]).T)[0].T
    values, given = prescribed(problem, mixed, background)
    vectors, sizes, _ = np.linalg.svd(basis[:, given], full_matrices=True)
    held = np.zeros(len(basis), dtype=bool)
    held[: len(sizes)] = sizes > HELD
    free = vectors[:, ~held].T @ basis
    if not len(free):
        return True
    assemblers = [Discrete.of(part, mixed.highest, len(signs), rule_degree(1, mesh), background) for part in parts]
    rows = np.repeat(signs, [space.size for space in mixed.spaces])
    matrix = diags_array(rows) @ assemble(assemblers, mixed, values, np.arange(mixed.size))[1]
    energy = free @ (matrix @ free.T)
    terms = np.sqrt(np.einsum("ki,ik->k", np.abs(free), abs(matrix) @ np.abs(free).T))
    if not (terms > 0.0).all():
        return False
    return bool(np.linalg.eigvalsh((energy + energy.T) / 2 / np.outer(terms, terms)).min() > FELT)


def _falls(problem: Problem, mesh: Mesh, parts: Sequence[Integrand], degree: int, at: Solution | None) -> bool:
    """Return whether the energy falls along a function of elements of a degree.

    Args:
        problem: the problem.
        mesh: its mesh.
        parts: integrands of its form.
        degree: degree of the elements.
        at: where the form is linearised; None: anywhere.
    """
    mixed, background = MixedSpace.of(mesh, [degree] * offsets(problem)[-1]), Background(mesh)
    rule = rule_degree(degree, mesh)
    assemblers = [Discrete.of(part, mixed.highest, len(mixed.spaces), rule, background) for part in parts]
    values, given = prescribed(problem, mixed, background)
    if given.all():
        return False
    if at is not None:
        values = np.where(given, values, np.nan_to_num(interpolated(at, problem.unknowns, mixed)))
    return _falling(assemble(assemblers, mixed, values, np.where(given, -1, np.cumsum(~given) - 1))[1])


def _falling(matrix: Any) -> bool:
    """Return whether xᵀAx < 0 for some x, for a symmetric matrix A, by more than rounding; False if that is not known.

    The factors LDLᵀ tell a candidate x = L⁻ᵀe_k with xᵀAx = D_k, for the least pivot. In singular matrices D_k is rounding of
    any size, but then the terms of xᵀAx cancel.
    """
    diagonal: Array = matrix.diagonal()
    least, largest = diagonal.min(), np.abs(diagonal).max()
    if not np.isfinite(largest) or abs(least) <= SMALLEST * largest:
        return False
    if least < 0.0:
        return True
    scale = diags_array(1.0 / np.sqrt(diagonal))
    scaled = (scale @ matrix @ scale).tocsc()
    try:
        factors = SparseFactors(scaled, **ON_DIAGONAL)
    except RuntimeError:
        return False
    pivots = factors.pivots
    if pivots is None or pivots.min() >= -NEGATIVE:
        return False
    right = np.empty(len(pivots))
    right[factors.order] = factors.lower[:, [int(pivots.argmin())]].toarray().ravel()
    x = factors.solve(right)
    x /= np.abs(x).max()
    return bool(x @ (scaled @ x) < -FELT * (np.abs(x) @ (abs(scaled) @ np.abs(x))))
