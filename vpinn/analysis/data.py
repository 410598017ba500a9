"""Find coefficients and sources of a form that the quadrature points miss, by comparison with a much finer rule.

The unknowns are replaced by a smooth known field, so that only the data vary in the source a and the flux B of the form,
F(u; v) = ∫ a·v + B·∇v. If a coefficient jumps inside a cell, or a source lies between the points, both rules disagree about the
integrals of a and B over that cell; singularities of the solution play no part. The integrands are weighted with
1 + Σ ξ_k/(k + 1), with reference coordinates ξ, as symmetric rules would integrate a jump in the middle of a cell exactly.

A jump of a coefficient inside a cell is an error beyond that of the quadrature: the gradient of the solution jumps there, which
that of a network cannot. Such a cell is found by the rest of |B| after the best polynomial is subtracted.

``unseen_data`` checks a finished solution; ``resolved_data`` refines a mesh until its points see the data.
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

from vpinn.analysis.boundary_data import boundary_shares
from vpinn.analysis.flux import measured
from vpinn.domain import BISECTED, CellPoints, Inside, Mesh, Points, PointSet, bisect, gauss
from vpinn.errors import InputError
from vpinn.finite_elements import coefficients
from vpinn.forms import Background, Graph, Tape, compile_tape
from vpinn.objective.integrands import Integrands
from vpinn.problem import Problem, Stated

Array = NDArray[np.float64]
WHAT = ("source", "coefficient", "boundary flux", "boundary value")
"""What points may miss."""
UNSEEN = 1e-3
"""Share of the data missed by the points above which it is reported; for resolved data it is 1e-9 and less."""
JUMPS = 3e-3
"""Share of |B|² in a cell that the best polynomial leaves, above which a coefficient may jump there."""
DEGREE, RULE = 8, 20
"""Degree of the polynomials, and of the quadrature rule on which they are fitted."""
HALVED, LOOKED_AT = 2, 20
"""Halvings of a cell for the points at which |B| is sorted, and largest number of cells that are examined."""
APART = 0.3
"""Gap between two neighbouring sorted values of |B|, relative to their range, above which a coefficient jumps."""
MOST = 400_000
"""Largest number of points of the finer rule, and of the fitted polynomials."""
FEW = 5
"""Number of quadrature points, relative to ``MOST``, above which data are not checked."""
HALVINGS = 6
"""Largest number of halvings of the cells for the finer rule beyond those of the given rule."""
MORE = 4
"""Difference between the degrees of the finer rule and the given one."""
ROUNDS = 12
"""Largest number of rounds in which cells are bisected where data are missed."""
SMALLEST = 1.5
"""Largest diameter of a cell that counts as one of the smallest, relative to the smallest diameter."""
MANY = 8_000
"""Largest number of cells of a mesh after it is refined for its data."""
CHUNK = 50_000
"""Points evaluated at a time."""


@dataclass(frozen=True)
class Unseen:
    """Data that the quadrature points miss.

    Attributes:
        share: missed share of the weighted integral of |a| or |B|, whichever share is larger, dimensionless; 1 for a jump.
        what: what is missed, one of ``WHAT``, or "jump" of a coefficient inside a cell.
        at: mean of the nodes of the cell that misses most [d].
    """

    share: float
    what: str
    at: Array

    def __str__(self) -> str:
        """Return in one line what is missed and what to do."""
        place = ", ".join(f"{axis} = {value:.3g}" for axis, value in zip("xyz", self.at, strict=False))
        if self.what == "jump":
            return (
                f"a coefficient jumps inside a cell near {place}, where the gradient of the solution jumps, too, which no "
                "smooth function does; let cells end at the jump, by tags of the mesh"
            )
        return (
            f"{self.share:.1%} of the {self.what} escapes the points, most near {place}: it jumps inside cells or is narrower "
            "than they are; let cells end at the jump, or refine the mesh there"
        )


def unseen_data(problem: Problem, points: Iterable[PointSet], kinks: bool = True) -> Unseen | None:
    """Return the data of a problem that quadrature points miss.

    None if they miss nothing, if there are too many to check, or if none belong to a Gauss rule on cells.

    Args:
        problem: the problem.
        points: quadrature points with which its solution was found.
        kinks: whether to report coefficients that jump inside a cell, too. Set it for trial functions that are smooth in a cell.
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
    return Unseen(float(totals[worst]), WHAT[worst], mesh.nodes[mesh.cells[cell]].mean(axis=0))


def unseen_shares(problem: Problem, rule: CellPoints) -> Array | None:
    """Return what a rule misses of ``WHAT`` at every cell, relative to its integral over domain or boundary [4, n_cells].

    None if the rule has too many points, or if the form has no such a and B.
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
    except InputError:  # a form that has no such a and B
        return None
    (seen, _), (fine, sizes) = (data.by_cell(points) for points in (rule, CellPoints(mesh, finer, refine=halvings)))
    missed, flux = np.abs(seen - fine), np.array(data.flux, dtype=bool)
    kinds = [(missed[which].sum(axis=0), sizes[which].sum()) for which in (~flux, flux)]
    fields = {u.name: _field(problem, u.shape) for u in problem.unknowns}
    return np.stack([*(each / (total or np.inf) for each, total in kinds), *boundary_shares(problem, rule, fields)])


def resolved_data(problem: Stated, rule: Callable[[Mesh], CellPoints]) -> Stated:
    """Return the problem on a mesh whose cells are bisected until a quadrature rule misses no data, or the mesh is too large.

    Args:
        problem: problem on any domain; it is returned unchanged if its cells cannot be bisected, or in three dimensions.
        rule: mesh → quadrature points on it.
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
        tail = np.cumsum(missed[order][::-1])[::-1]  # share that a cell misses together with all cells behind it
        missing = shares.sum(axis=1).max() > UNSEEN
        if not missing and (not before or problem.domain is first):
            break
        # a rule may hit the integral of a narrow peak by accident, so the smallest cells are bisected once more as a check
        fine = bisect(mesh, order[tail > UNSEEN / 2] if missing else np.flatnonzero(mesh.h <= SMALLEST * mesh.h.min()))
        if fine.n_cells > max(MANY, mesh.n_cells):
            break
        problem = replace(problem, domain=fine)
    return problem


def _jumped(problem: Problem, mesh: Mesh) -> int | None:
    """Return the cell in which a coefficient jumps; None if there is none.

    A cell of which the best polynomial leaves much has a jump if the values of |B| at many points fall into two groups with a gap
    between them. The values of a coefficient that oscillates have no such gap.
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
    """The entries of a and B for a smooth known field in place of the unknowns.

    Attributes:
        tape: computes the entries.
        background: known functions on the mesh.
        flux: for every entry whether it belongs to B.
    """

    tape: Tape
    background: Background
    flux: tuple[bool, ...]

    @classmethod
    def of(cls, problem: Problem, mesh: Mesh) -> _Data:
        """Return the data of a problem.

        Raises:
            InputError: the form has no such a and B.
        """
        graph, stated = Graph(), measured(problem)
        terms = coefficients(stated, {u.name: _field(stated, u.shape) for u in stated.unknowns}, Integrands(graph, Inside))
        return cls(compile_tape(graph, list(terms.values())), Background(mesh), tuple(bool(jet.derivative) for jet in terms))

    def __call__(self, points: Points) -> list[Array]:
        """Return the values of every entry at points [n]."""
        values = self.tape.moving(self.tape.fixed(self.background.values(self.tape.fixed_slots, points)))
        return [np.broadcast_to(np.asarray(value), len(points.w)) for value in values]

    def size(self, points: Points) -> Array:
        """Return the Euclidean norm |B| at points [n]."""
        entries = [value**2 for value, flux in zip(self(points), self.flux, strict=True) if flux]
        return np.asarray(np.sqrt(sum(entries, np.zeros(len(points.w)))))

    def by_cell(self, points: CellPoints) -> tuple[Array, Array]:
        """Return weighted integrals of the k entries over every cell [k, n_cells], and of their moduli over the domain [k]."""
        found, sizes = np.zeros((len(self.flux), points.mesh.n_cells)), np.zeros(len(self.flux))
        for part in map(points.take, points.chunks(CHUNK)):
            assert part.reference is not None
            weights = part.w * (1.0 + part.reference @ (1.0 / np.arange(1, 1 + part.reference.shape[1])))
            for at, value in enumerate(self(part)):
                found[at] += np.bincount(part.cell, weights * value, found.shape[1])
                sizes[at] += weights @ np.abs(value)
        return found, sizes


def _left_over(data: _Data, mesh: Mesh) -> Array:
    """Return the share of |B|² that the best polynomial leaves in every cell [n_cells]; [0] if there are too many cells."""
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
    """Return a smooth field that varies in all directions: 1 + Σ (k + 1)(x_k − lower_k)/width_k, times 1 + j/2 in component j."""
    x, (lower, upper) = problem.symbols.x, problem.domain.bounds
    ramp = 1.0 + sum((k + 1) * (x[k] - float(lower[k])) / float(upper[k] - lower[k]) for k in range(problem.domain.dimension))
    if not shape:
        return ramp
    entries = [(1.0 + 0.5 * k) * ramp for k in range(int(np.prod(shape)))]
    if len(shape) == 1:
        return ufl.as_vector(entries)
    return ufl.as_matrix([entries[row * shape[1] : (row + 1) * shape[1]] for row in range(shape[0])])
