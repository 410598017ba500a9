"""The weak form around a solution: residual F(u; φᵢ) and tangent F'(u)[φⱼ, φᵢ] on finite elements, as a matrix and a vector.

Integrands are built for u + w with a finite element function w and differentiated by its jets at w = 0; everything is pulled
back to the reference cell before it meets the basis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import ufl
from numpy.typing import NDArray
from scipy.sparse import coo_array
from torch import Tensor

from vpinn.domain import CellPoints, FacetPoints, LagrangeSpace, facet_gauss, gauss
from vpinn.errors import InputError
from vpinn.forms import Graph, Jet, Node, Tape, build, compile_tape, derivatives, integrals, split
from vpinn.objective import variation
from vpinn.objective.statement import Integrands
from vpinn.problem import Problem
from vpinn.trial import Evaluator, Trial

Array = NDArray[np.float64]
ENTRIES = 4_000_000
"""Numbers in the largest array of one step of the assembly."""

Unknowns = Mapping[str, ufl.core.expr.Expr]
"""Unknown → what stands for it."""


def split_form(problem: Problem, unknowns: Unknowns, side: Integrands) -> dict[Jet, Node]:
    """Return the coefficient of every test function's jet in F(u; v) on one measure.

    Args:
        problem: of any formulation; F is its variation.
        unknowns: what to put for the unknowns.
        side: graph of the measure; the tags that integrals live on are noted in it.

    Returns:
        Jet(-1, component counted through all unknowns, derivative) → node.
    """
    replace = {u.function: unknowns[u.name] for u in problem.unknowns}
    offsets = np.concatenate([[0], np.cumsum([u.components for u in problem.unknowns])])
    first = {-1 - (u.test.part() or 0): int(offsets[k]) for k, u in enumerate(problem.unknowns)}
    found: dict[Jet, list[Node]] = {}
    for part in integrals(variation(problem)):
        if part.facet == side.facet:
            names = tuple(problem.tags[i] for i in part.tags)
            for jet, node in split(side.graph, build(side.graph, ufl.replace(part.integrand, replace))).items():
                place = Jet(-1, first[jet.function] + jet.component, jet.derivative)
                found.setdefault(place, []).append(side.masked(node, names))
    return {jet: side.graph.add(nodes) for jet, nodes in found.items()}


@dataclass(frozen=True)
class Shift:
    """The unknowns u + w.

    Attributes:
        unknowns: name → u + w as an expression of the network and of w.
        functions: w, one scalar function per component.
    """

    unknowns: Unknowns
    functions: tuple[ufl.Coefficient, ...]

    @classmethod
    def of(cls, problem: Problem, trial: Trial) -> Shift:
        """Return the shifted unknowns of a trial space, with new functions w."""
        functions, unknowns = [], {}
        for unknown in problem.unknowns:
            parts = [problem.symbols.coefficient() for _ in range(unknown.components)]
            functions += parts
            unknowns[unknown.name] = trial.unknowns[unknown.name] + (ufl.as_vector(parts) if unknown.shape else parts[0])
        return cls(unknowns, tuple(functions))

    @property
    def counts(self) -> tuple[int, ...]:
        """UFL counts of w."""
        return tuple(w.count() for w in self.functions)


@dataclass(frozen=True)
class Side:
    """One measure of the form.

    Attributes:
        trial: trial space of u.
        space: finite elements of w and of the tests.
        points: quadrature points, the same in every entity.
        tests: jets of the test functions.
        slopes: (test, jet of w) of every derivative that does not vanish.
        tape: the coefficient of every test, then the derivatives.
    """

    trial: Trial
    space: LagrangeSpace
    points: CellPoints | FacetPoints
    tests: tuple[Jet, ...]
    slopes: tuple[tuple[Jet, Jet], ...]
    tape: Tape

    @cached_property
    def table(self) -> Array:
        """Values and reference gradients of the local functions [1 or local facets, q, 1 + d, n_local]."""
        mesh = self.space.mesh
        if isinstance(self.points, FacetPoints):
            placed = mesh.reference.facet_points(facet_gauss(mesh.cell, self.points.degree).points)
        else:
            placed = gauss(mesh.cell, self.points.degree).points[None]
        values, gradients = self.space.tabulate(placed)
        return np.concatenate([values[:, :, None], gradients], axis=2)

    def assemble(self, theta: Tensor) -> tuple[Array, Any]:
        """Return the residual [components, size] and the tangent as scipy.sparse CSR [components·size, components·size]."""
        space, m = self.space, self.trial.network.outputs
        evaluator, count = Evaluator(self.trial, self.tape), len(self.tests)
        q, wide, n = self.table.shape[1:]
        residual = np.zeros((m, space.size))
        matrix = coo_array((m * space.size, m * space.size)).tocsr()
        for part in self.points.chunks(max(q, ENTRIES // (n * wide))):
            points = self.points.take(part)
            cell = points.cell[::q]
            local = space.mesh.boundary[points.entity[::q], 1] if self.table.shape[0] > 1 else np.zeros(1, np.int64)
            table, dofs = self.table[local].reshape(-1, q * wide, n), space.dofs[cell]
            pull = np.zeros((len(points.w), wide, wide))  # jets in x from jets in reference coordinates
            pull[:, 0, 0] = 1.0
            pull[:, 1:, 1:] = space.mesh.frames_at(points.cell, points.reference).inverse_transpose
            values = evaluator(theta, points) * points.w
            for test, value in zip(self.tests, values[:count], strict=True):
                pulled = (value[:, None] * pull[:, _row(test)]).reshape(len(cell), 1, q * wide)
                np.add.at(residual[test.component], dofs, (pulled @ table)[:, 0])
            blocks: dict[tuple[int, int], Array] = {}
            for (test, jet), value in zip(self.slopes, values[count:], strict=True):
                block = blocks.setdefault((test.component, jet.component), np.zeros_like(pull))
                block += value[:, None, None] * pull[:, _row(test), :, None] * pull[:, _row(jet), None, :]
            for (i, j), block in blocks.items():
                right = block.reshape(len(cell), q, wide, wide) @ table.reshape(-1, q, wide, n)
                found = np.swapaxes(table, 1, 2) @ right.reshape(len(cell), q * wide, n)
                rows, columns = (np.broadcast_to(a, found.shape) for a in (dofs[:, :, None], dofs[:, None, :]))
                place = (rows.ravel() + i * space.size, columns.ravel() + j * space.size)
                matrix = matrix + coo_array((found.ravel(), place), shape=matrix.shape).tocsr()
        return residual, matrix


def make_sides(problem: Problem, trial: Trial, shift: Shift, space: LagrangeSpace, degree: int) -> tuple[Side, ...]:
    """Return the measures of a form that takes first derivatives.

    Args:
        problem: of any formulation, on a mesh.
        trial: its trial space.
        shift: w beside the unknowns of the trial space.
        space: finite elements of w and of the tests.
        degree: of the quadrature, 1 to 30.

    Raises:
        InputError: the form takes second derivatives, which finite elements lack.
    """
    counts, sides = shift.counts, []
    for facet in (False, True):
        side = Integrands(Graph(frozenset({trial.function.count(), *counts})), facet)
        found, graph = split_form(problem, shift.unknowns, side), side.graph
        if not found:
            continue
        jets = [slot for slot in graph.slots(found.values()) if isinstance(slot, Jet) and slot.function in counts]
        if any(len(jet.derivative) > 1 for jet in [*found, *jets]):
            raise InputError("the form takes second derivatives, which finite elements lack; integrate by parts")
        slopes = {
            (test, Jet(-1, counts.index(jet.function), jet.derivative)): slope
            for test, node in found.items()
            for jet, slope in zip(jets, derivatives(graph, node, [graph.slot(jet) for jet in jets]), strict=True)
            if not (graph.is_number(slope) and graph.value(slope) == 0.0)
        }
        outputs = graph.substitute([*found.values(), *slopes.values()], dict.fromkeys(jets, 0.0))
        facets = space.mesh.facets(tuple(sorted(side.tags))) if facet else None
        points = CellPoints(space.mesh, degree) if facets is None else FacetPoints(space.mesh, facets, degree)
        sides.append(Side(trial, space, points, tuple(found), tuple(slopes), compile_tape(graph, outputs)))
    return tuple(sides)


def _row(jet: Jet) -> int:
    """Return the place of a jet among the value and the first derivatives."""
    return 1 + jet.derivative[0] if jet.derivative else 0
