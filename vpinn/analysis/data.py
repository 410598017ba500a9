"""Whether the points see the data of a form: its coefficients and sources, on the rule trained with and on a much finer one.

The form is put on a smooth field, so that only data vary: its source a and flux B, with F(u; v) = ∫ a·v + B·∇v. A coefficient
that jumps inside a cell, or a source between the points, changes the integrals of a and B over that cell; the solution's own
corners do not. The integrals are weighted, by 1 + Σ ξ_k/(k + 1) with reference coordinates ξ, since symmetric rules integrate a
jump in the middle of a cell exactly.

A jump of a coefficient costs more than its quadrature: the solution kinks there, which smooth functions on the cell do not. It
shows as what a polynomial leaves of |B| in its cell.
"""

# mypy: disable-error-code="no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import ufl
from numpy.typing import NDArray
from ufl.core.expr import Expr

from vpinn.analysis.flux import measured
from vpinn.domain import BISECTED, CellPoints, Inside, Mesh, Points, PointSet, bisect, gauss
from vpinn.errors import InputError
from vpinn.finite_elements import coefficients
from vpinn.forms import Background, Graph, Tape, compile_tape
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
ROUNDS = 12
"""Times that cells are bisected where data are missed, at most."""
SMALLEST = 1.5
"""Diameter of the cells that count as smallest, relative to the least."""
MANY = 8_000
"""Cells of a mesh that data have made finer, at most."""
CHUNK = 50_000
"""Points evaluated at a time."""


@dataclass(frozen=True)
class Unseen:
    """What the points do not see.

    Attributes:
        share: of the weighted integrals of |a| or |B|, the larger; dimensionless.
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


def unseen_data(problem: Problem, points: Iterable[PointSet], kinks: bool = True) -> Unseen | None:
    """Return what the points that a solution was found with do not see of a problem's data.

    None where they see them, are very many, or belong to no Gauss rule.

    Args:
        problem: the problem.
        points: that its solution was found with.
        kinks: whether a coefficient must not jump inside a cell, since a smooth function stands for the solution there.
    """
    mesh = problem.domain.mesh
    rules = [rule for rule in points if isinstance(rule, CellPoints)]
    if mesh is None or not rules:
        return None
    shares = unseen_shares(problem, max(rules, key=lambda rule: rule.per_entity))
    if shares is None:
        return None
    if kinks and (jumped := _jumped(problem, mesh)) is not None:
        return Unseen(1.0, "jump", mesh.nodes[mesh.cells[jumped]].mean(axis=0))
    totals = shares.sum(axis=1)
    worst = int(totals.argmax())
    if not totals[worst] > UNSEEN:
        return None
    cell = int(shares[worst].argmax())
    return Unseen(float(totals[worst]), ("source", "coefficient")[worst], mesh.nodes[mesh.cells[cell]].mean(axis=0))


def unseen_shares(problem: Problem, rule: CellPoints) -> Array | None:
    """Return what a rule misses of ∫a and ∫B in every cell, relative to ∫|a| and ∫|B| over all [2, n_cells].

    None where it has very many points, or the form no such coefficients.
    """
    mesh = rule.mesh
    if rule.size > FEW * MOST:
        return None
    finer, halvings = min(30, rule.degree + MORE), rule.refine
    each = len(gauss(mesh.cell, finer).weights) * mesh.n_cells
    while halvings < rule.refine + HALVINGS and each * 2 ** (mesh.dimension * (halvings + 1)) <= MOST:
        halvings += 1
    try:
        data = _Data.of(problem, mesh)
    except InputError:  # a form without such coefficients
        return None
    (seen, _), (fine, sizes) = (data.by_cell(points) for points in (rule, CellPoints(mesh, finer, refine=halvings)))
    missed, flux = np.abs(seen - fine), np.array(data.flux, dtype=bool)
    kinds = [(missed[which].sum(axis=0), sizes[which].sum()) for which in (~flux, flux)]
    return np.stack([each / (total if total > 0.0 else np.inf) for each, total in kinds])


def resolved_data(problem: Problem, rule: Callable[[Mesh], CellPoints]) -> Problem:
    """Return the problem on a mesh whose cells are bisected where a rule on them misses data, as far as it goes.

    Args:
        problem: on any domain; without cells that can be bisected it stays as it is.
        rule: mesh → the points that data are seen by.
    """
    first, missing = problem.domain, True
    for _ in range(ROUNDS):
        mesh = problem.domain.mesh
        if mesh is None or mesh.cell not in BISECTED or mesh.dimension == 3:
            break
        shares = unseen_shares(problem, rule(mesh))
        if shares is None:
            break
        missed, before = shares.max(axis=0), missing
        order = np.argsort(-missed)
        tail = np.cumsum(missed[order][::-1])[::-1]  # what the cells from here on miss together
        missing = shares.sum(axis=1).max() > UNSEEN
        if not missing and (not before or problem.domain is first):
            break
        # a rule may meet the integral of a peak by accident: the smallest cells are bisected once more
        fine = bisect(mesh, order[tail > UNSEEN / 2] if missing else np.flatnonzero(mesh.h <= SMALLEST * mesh.h.min()))
        if fine.n_cells > max(MANY, mesh.n_cells):
            break
        problem = replace(problem, domain=fine)
    return problem


def _jumped(problem: Problem, mesh: Mesh) -> int | None:
    """Return the cell in which a coefficient jumps most clearly, None where there is none.

    Of the cells where polynomials leave much over, it jumps where its values, at many points, fall into two groups; those of one
    that oscillates do not.
    """
    data = _Data.of(problem, mesh)
    left, points = _left_over(data, mesh), CellPoints(mesh, RULE, refine=HALVED)
    for cell in np.argsort(-left)[:LOOKED_AT]:
        if not left[cell] > JUMPS:
            break
        own = points.take(range(int(cell) * points.per_entity, (int(cell) + 1) * points.per_entity))
        values = np.sort(data.size(own))
        if np.diff(values).max() > APART * (values[-1] - values[0]):
            return int(cell)
    return None


@dataclass(frozen=True)
class _Data:
    """The entries of a and B on a smooth field, so that only data vary.

    Attributes:
        tape: its outputs are the entries.
        background: of the mesh.
        flux: which of them are of B.
    """

    tape: Tape
    background: Background
    flux: tuple[bool, ...]

    @classmethod
    def of(cls, problem: Problem, mesh: Mesh) -> _Data:
        """Return the data of a problem.

        Raises:
            InputError: its form has no such coefficients.
        """
        graph, stated = Graph(), measured(problem)
        terms = coefficients(stated, {u.name: _field(stated, u.shape) for u in stated.unknowns}, Integrands(graph, Inside))
        return cls(compile_tape(graph, list(terms.values())), Background(mesh), tuple(bool(jet.derivative) for jet in terms))

    def __call__(self, points: Points) -> list[Array]:
        """Return the entries at points [n] each."""
        values = self.tape.moving(self.tape.fixed(self.background.values(self.tape.fixed_slots, points)))
        return [np.broadcast_to(np.asarray(value), len(points.w)) for value in values]

    def size(self, points: Points) -> Array:
        """Return |B| at points [n]."""
        entries = [value**2 for value, flux in zip(self(points), self.flux, strict=True) if flux]
        return np.asarray(np.sqrt(sum(entries, np.zeros(len(points.w)))))

    def by_cell(self, points: CellPoints) -> tuple[Array, Array]:
        """Return the weighted integrals of the entries over every cell [k, n_cells], and those of their size over all [k]."""
        found, sizes = np.zeros((len(self.flux), points.mesh.n_cells)), np.zeros(len(self.flux))
        for part in map(points.take, points.chunks(CHUNK)):
            assert part.reference is not None
            weights = part.w * (1.0 + part.reference @ (1.0 / np.arange(1, 1 + part.reference.shape[1])))
            for at, value in enumerate(self(part)):
                found[at] += np.bincount(part.cell, weights * value, found.shape[1])
                sizes[at] += weights @ np.abs(value)
        return found, sizes


def _left_over(data: _Data, mesh: Mesh) -> Array:
    """Return the share of |B|² in every cell that the best polynomial for |B| leaves [n_cells]; [0] where cells are too many."""
    rule = gauss(mesh.cell, RULE)
    if mesh.n_cells * len(rule.weights) > MOST:
        return np.zeros(0)
    points = CellPoints(mesh, RULE)
    size = np.concatenate([data.size(points.take(part)) for part in points.chunks(CHUNK)]).reshape(mesh.n_cells, -1)
    powers = [p for p in np.ndindex(*(DEGREE + 1,) * mesh.dimension) if sum(p) <= DEGREE]
    root = np.sqrt(rule.weights)
    basis = np.linalg.qr(root[:, None] * np.stack([np.prod(rule.points**power, axis=1) for power in powers], axis=1))[0]
    weighted = size * root
    left = ((weighted - weighted @ basis @ basis.T) ** 2).sum(axis=1)
    return np.asarray(left / np.maximum((weighted**2).sum(axis=1), np.finfo(float).tiny))


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
