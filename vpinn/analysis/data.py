"""Whether the points see the data of a form: its coefficients and sources, on the rule trained with and on a much finer one.

The form is put on a smooth field, so that only data vary: its source a and flux B, with F(u; v) = ∫ a·v + B·∇v. A coefficient
that jumps inside a cell, or a source between the points, changes the integrals of a² and |B|² over that cell; the solution's own
corners do not. The integrals are weighted, by 1 + Σ ξ_k/(k + 1) with reference coordinates ξ, since symmetric rules integrate a
jump in the middle of a cell exactly.

A jump of a coefficient costs more than its quadrature: the solution kinks there, which smooth functions on the cell do not. It
shows as what a polynomial leaves of |B| in its cell.
"""

# mypy: disable-error-code="no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import ufl
from numpy.typing import NDArray
from ufl.core.expr import Expr

from vpinn.analysis.flux import measured
from vpinn.domain import CellPoints, Mesh, Points, PointSet, gauss
from vpinn.errors import InputError
from vpinn.finite_elements import coefficients
from vpinn.forms import Background, Graph, compile_tape
from vpinn.objective.statement import Integrands
from vpinn.problem import Problem

Array = NDArray[np.float64]
UNSEEN = 1e-3
"""Share of the data above which what the points do not see of them is told; resolved data have 1e-9 and less."""
JUMPS = 3e-3
"""Share of |B|² in a cell that polynomials leave over above which a coefficient may jump there."""
DEGREE, RULE = 8, 20
"""Degrees of the polynomials, and of the rule on which they are fitted."""
HALVED, LOOKED_AT = 2, 20
"""Halvings of a cell for the points at which its values are looked at, and cells that are, at most."""
APART = 0.3
"""Gap between two groups of values, relative to their range, above which a coefficient jumps."""
MOST = 400_000
"""Points of the finer rule."""
FEW = 5
"""Points trained with, in units of those of the finer rule, above which nothing is said."""
HALVINGS = 6
"""Halvings of cells for it, at most."""
MORE = 4
"""Degrees that it has more."""
CHUNK = 50_000
"""Points evaluated at a time."""


@dataclass(frozen=True)
class Unseen:
    """What the points do not see.

    Attributes:
        share: of the weighted integrals of a² or |B|², the larger; dimensionless.
        what: "source", "coefficient" or "jump".
        at: middle of the cell where most is missed [d].
    """

    share: float
    what: str
    at: Array

    def __str__(self) -> str:
        """Say it in one line, and what to do."""
        place = ", ".join(f"{axis} = {value:.3g}" for axis, value in zip("xyz", self.at, strict=False))
        if self.what == "jump":
            return (
                f"a coefficient jumps inside a cell near {place}, where the solution kinks and smooth functions do not; let "
                "cells end at the jump, by tags of the mesh"
            )
        return (
            f"{self.share:.1%} of the {self.what} escapes the points, most near {place}: it jumps inside cells or is narrower "
            "than they are; let cells end at the jump, or refine the mesh there"
        )


def unseen_data(problem: Problem, points: Iterable[PointSet]) -> Unseen | None:
    """Return what the points that a solution was found with do not see of a problem's data.

    None where they see them, are very many, or belong to no Gauss rule.
    """
    mesh = problem.domain
    rules = [rule for rule in points if isinstance(rule, CellPoints)]
    if not isinstance(mesh, Mesh) or not rules or sum(rule.size for rule in rules) > FEW * MOST:
        return None
    degree, refine = max(rule.degree for rule in rules), max(rule.refine for rule in rules)
    finer, halvings = min(30, degree + MORE), refine
    each = len(gauss(mesh.cell, finer).weights) * mesh.n_cells
    while halvings < refine + HALVINGS and each * 2 ** (mesh.dimension * (halvings + 1)) <= MOST:
        halvings += 1
    try:
        seen, fine = (
            _by_cell(problem, CellPoints(mesh, d, refine=r)) for d, r in ((degree, refine), (finer, max(halvings, refine)))
        )
    except InputError:  # a form without such coefficients
        return None
    if (jumped := _jumped(problem, mesh)) is not None:
        return Unseen(1.0, "jump", mesh.nodes[mesh.cells[jumped]].mean(axis=0))
    totals = fine.sum(axis=1)
    shares = np.abs(seen - fine).sum(axis=1) / np.where(totals > 0.0, totals, np.inf)
    worst = int(shares.argmax())
    if not shares[worst] > UNSEEN:
        return None
    cell = int(np.abs(seen - fine)[worst].argmax())
    return Unseen(float(shares[worst]), ("source", "coefficient")[worst], mesh.nodes[mesh.cells[cell]].mean(axis=0))


def _jumped(problem: Problem, mesh: Mesh) -> int | None:
    """Return the cell in which a coefficient jumps most clearly, None where there is none.

    Of the cells where polynomials leave much over, it jumps where its values, at many points, fall into two groups; those of one
    that oscillates do not.
    """
    left = _left_over(problem, mesh)
    points, values_at = CellPoints(mesh, RULE, refine=HALVED), _compiled(problem, mesh)
    for cell in np.argsort(-left)[:LOOKED_AT]:
        if not left[cell] > JUMPS:
            break
        own = points.take(range(int(cell) * points.per_entity, (int(cell) + 1) * points.per_entity))
        values = np.sort(np.sqrt(values_at(own)[1]))
        if np.diff(values).max() > APART * (values[-1] - values[0]):
            return int(cell)
    return None


def _squares(problem: Problem, points: CellPoints) -> Iterator[tuple[Points, list[Array]]]:
    """Yield points with a² and |B|² there, [n] each."""
    values_at = _compiled(problem, points.mesh)
    for part in map(points.take, points.chunks(CHUNK)):
        yield part, values_at(part)


def _compiled(problem: Problem, mesh: Mesh) -> Callable[[Points], list[Array]]:
    """Return the function points → a² and |B|² [n] each."""
    graph, stated = Graph(), measured(problem)
    terms = coefficients(stated, {u.name: _field(stated, u.shape) for u in stated.unknowns}, Integrands(graph, False))
    groups = [[node for jet, node in terms.items() if bool(jet.derivative) is flux] for flux in (False, True)]
    squares = [graph.add([graph.multiply([node, node]) for node in group] or [graph.number(0.0)]) for group in groups]
    tape, background = compile_tape(graph, squares), Background(mesh)

    def values_at(points: Points) -> list[Array]:
        values = tape.moving(tape.fixed(background.values(tape.fixed_slots, points)))
        return [np.broadcast_to(np.asarray(value), len(points.w)) for value in values]

    return values_at


def _left_over(problem: Problem, mesh: Mesh) -> Array:
    """Return the share of |B|² in every cell that the best polynomial for |B| leaves [n_cells]; [0] where cells are too many."""
    rule = gauss(mesh.cell, RULE)
    if mesh.n_cells * len(rule.weights) > MOST:
        return np.zeros(0)
    points = CellPoints(mesh, RULE)
    size = np.concatenate([np.sqrt(squares[1]) for _, squares in _squares(problem, points)]).reshape(mesh.n_cells, -1)
    powers = [p for p in np.ndindex(*(DEGREE + 1,) * mesh.dimension) if sum(p) <= DEGREE]
    root = np.sqrt(rule.weights)
    basis = np.linalg.qr(root[:, None] * np.stack([np.prod(rule.points**power, axis=1) for power in powers], axis=1))[0]
    weighted = size * root
    left = ((weighted - weighted @ basis @ basis.T) ** 2).sum(axis=1)
    return np.asarray(left / np.maximum((weighted**2).sum(axis=1), np.finfo(float).tiny))


def _by_cell(problem: Problem, points: CellPoints) -> Array:
    """Return the weighted integrals of a² and |B|² over every cell [2, n_cells]."""
    found = np.zeros((2, points.mesh.n_cells))
    for part, values in _squares(problem, points):
        assert part.reference is not None
        weights = part.w * (1.0 + part.reference @ (1.0 / np.arange(1, 1 + part.reference.shape[1])))
        for row, value in zip(found, values, strict=True):
            row += np.bincount(part.cell, weights * value, len(row))
    return found


def _field(problem: Problem, shape: tuple[int, ...]) -> Expr:
    """Return a smooth field of a shape that varies in all directions: 1 + Σ (k + 1)(x_k − lower)/width, times the component."""
    x, (lower, upper) = problem.symbols.x, problem.domain.bounds
    ramp = 1.0 + sum((k + 1) * (x[k] - float(lower[k])) / float(upper[k] - lower[k]) for k in range(problem.domain.dimension))
    if not shape:
        return ramp
    entries = [(1.0 + 0.5 * k) * ramp for k in range(int(np.prod(shape)))]
    if len(shape) == 1:
        return ufl.as_vector(entries)
    return ufl.as_matrix([entries[row * shape[1] : (row + 1) * shape[1]] for row in range(shape[0])])
