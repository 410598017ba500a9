"""Correct a solution u by one Newton step in rich finite elements, so that the correction w estimates the error.

The correction w satisfies F'(u)[w, v] = −F(u; v) for every v of the rich space, and u + w = g where g is prescribed. The rich
space resolves what the trial space of u has missed. Hence u + w takes the place of the exact solution, and w that of the error,
pointwise and in any norm, also for forms that are neither symmetric nor definite. For a symmetric, coercive form the energy
norm of w is the dual norm of the residual in the energy product. Source: hierarchical error estimators, Bank & Weiser, Math.
Comp. 44 (1985), 283–301; for nonlinear problems Verfürth, Math. Comp. 62 (1994), 445–475. Start from ``make_correction``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.analysis.residual import MAX_DEGREE
from vpinn.analysis.tangent import Corrected, Seen, Shift, Tangent, make_tangents
from vpinn.domain import FacetPoints, LagrangeSpace, node_points
from vpinn.errors import VpinnError
from vpinn.factors import SparseFactors
from vpinn.finite_elements import (
    Contact,
    Kernel,
    MixedSpace,
    Motion,
    TiedFunctions,
    Whole,
    allowed,
    assemble,
    lower,
    motions,
    solver,
    support_values,
    tied_functions,
)
from vpinn.forms import Background, Field, components
from vpinn.problem import Case, Problem
from vpinn.trial import Across, Evaluator, MeshField, Trial

Array = NDArray[np.float64]
ACCURATE = 1e-4
"""Relative error of the correction in the energy norm at which iterations for it end."""
SOLVED = 1e-3
"""Largest residual of the linear system, relative to its right side, at which it counts as solved."""


@dataclass(frozen=True)
class Gap:
    """A boundary condition u = g on one component that the trial space does not meet exactly.

    Attributes:
        component: number of the component, counted through all unknowns.
        value: evaluates u − g.
        facets: facets of the condition, as rows of the mesh's boundary [n].
        degree: degree of the quadrature on them.
    """

    component: int
    value: Evaluator
    facets: NDArray[np.int64]
    degree: int

    def project(self, space: LagrangeSpace, theta: Tensor) -> tuple[NDArray[np.int64], Array]:
        """Return the functions that do not vanish on the facets [k], and the coefficients of g − u projected on them [k]."""
        rule = FacetPoints(space.mesh, self.facets, self.degree)
        points = rule.take(range(rule.size))
        here = space.boundary_dofs(self.facets)
        traces = space.values_at(points.cell, points.reference)[:, here]
        weighted = (traces * points.w[:, None]).T.tocsc()
        values = SparseFactors(weighted @ traces).solve(weighted @ -self.value(theta, points)[0])
        return here, values


@dataclass(frozen=True)
class Correction:
    """Corrects the solution of any parameters of a trial space.

    Attributes:
        problem: the problem.
        trial: trial space of u.
        shift: unknowns u + w as expressions.
        mixed: rich finite elements of w, for every component.
        tangents: residual and tangent of the form, over the domain and over the boundary.
        met: per component, the basis functions on whose boundary part w = 0, as the trial space meets the condition there [k].
        gaps: conditions that the trial space does not meet.
        motions: constants and turns, which the form may leave open.
        contact: obstacles, which u + w meets; None without any.
        nodes: values of the unknowns' components at the nodes of their elements, where there are obstacles.
    """

    problem: Problem
    trial: Trial
    shift: Shift
    mixed: MixedSpace
    tangents: tuple[Tangent, ...]
    met: tuple[NDArray[np.int64], ...]
    gaps: tuple[Gap, ...]
    motions: tuple[Motion, ...]
    contact: Contact | None = None
    nodes: Evaluator | None = None

    def __call__(self, theta: Tensor) -> Corrected | None:
        """Return the corrected solution u + w of parameters [size]; None if the tangent is singular."""
        seen: list[Seen] = []
        tangents = [replace(tangent, theta=theta, seen=seen) for tangent in self.tangents]
        prescribed, values = self._prescribed(theta)
        candidates = self._candidates(prescribed)
        kept = ~prescribed | bool(candidates)
        whole = Whole.of(values)
        matrix = assemble(tangents, self.mixed, None, np.where(kept, np.cumsum(kept) - 1, -1), whole=whole)[1]
        kernel = self._opened(matrix, candidates, ~prescribed)
        prescribed[kernel.pins_without(tied_functions(self.problem, self.mixed))] = True
        free, inside = np.flatnonzero(~prescribed), ~prescribed[kept]
        right = -(whole.residual + whole.image)[free]
        block = matrix if inside.all() else matrix[:, inside][inside]
        del matrix  # as large as the block
        try:
            values[free], used = self._solved(block, right, ~prescribed, values, theta)
        except VpinnError:  # singular, or no active set
            return None
        if not np.linalg.norm((block @ values[free] - right)[used]) <= SOLVED * np.linalg.norm(right):
            return None
        space, rows = self.mixed.highest, self.mixed.embedded(kernel.without(values))
        fields = [MeshField(space, row) for row in rows]
        known: dict[int, Field] = dict(zip(self.shift.counts, fields, strict=True))
        known |= {w.count(): Across(field) for w, field in zip(self.shift.opposite, fields, strict=False)}
        background = replace(self.trial.background, known={**self.trial.background.known, **known})
        corrected = replace(self.trial, unknowns=self.shift.unknowns, across=self.shift.across, background=background)
        # with components of different degrees the residual is not one on the space of the highest degree
        tested = torch.from_numpy(whole.residual).view(rows.shape) if rows.size == whole.residual.size else None
        return Corrected(corrected, 0.0, tested, seen)

    def _solved(
        self, block: Any, right: Array, free: NDArray[np.bool_], values: Array, theta: Tensor
    ) -> tuple[Array, slice | NDArray[Any]]:
        """Return the coefficients of w that are free, and which of their equations hold; ``values``: those of all of w."""
        if (tied := TiedFunctions.of(self.problem, self.mixed, values, free, exact=False)) is not None:
            return tied.solve_linear(block, right, free, ACCURATE), tied.alone
        if self.contact is None or self.nodes is None:
            return solver(block, self.mixed, free, ACCURATE)(right), slice(None)
        u = np.concatenate(
            [self.nodes(theta, node_points(space))[component] for component, space in enumerate(self.mixed.spaces)]
        )
        start, nothing = np.zeros(len(right)), np.zeros(len(u))
        found, used = self.contact.less(u).solve(lambda w, wanted: (block @ w - right, block), start, free, True, nothing)
        return found.values, used[free]

    def _prescribed(self, theta: Tensor) -> tuple[NDArray[np.bool_], Array]:
        """Return which degrees of freedom of w are prescribed, and their values, [mixed.size] each: 0, or g − u on gaps."""
        prescribed, values = (np.zeros(self.mixed.size, kind) for kind in (bool, float))
        for gap in self.gaps:
            dofs, found = gap.project(self.mixed.spaces[gap.component], theta)
            at = self.mixed.first[gap.component] + dofs
            prescribed[at], values[at] = True, found
        for first, met in zip(self.mixed.first, self.met, strict=False):
            prescribed[first + met], values[first + met] = True, 0.0
        return prescribed, values

    def _candidates(self, prescribed: NDArray[np.bool_]) -> list[Motion]:
        """Return the motions of components that are nowhere prescribed."""
        loose = {c for c in range(len(self.met)) if not prescribed[self.mixed.numbers(c)].any()}
        return [motion for motion in self.motions if loose.issuperset(motion.components)]

    def _opened(self, matrix: Any, candidates: Sequence[Motion], tested: NDArray[np.bool_]) -> Kernel:
        """Return those of the candidates that the form leaves undetermined, from its matrix [mixed.size, mixed.size].

        Test functions of prescribed values are none: where no fluid passes the boundary, they alone see the level of a pressure.
        """
        if not candidates:
            return Kernel.of(self.mixed, ())
        unseen = Kernel.of(self.mixed, candidates).unseen(matrix, tested)
        return Kernel.of(self.mixed, [motion for motion, one in zip(candidates, unseen, strict=True) if one])


def make_correction(problem: Case, trial: Trial, degree: int) -> Correction:
    """Return the correction of a problem on a mesh by finite elements.

    Args:
        problem: problem on a mesh, in any formulation.
        trial: its trial space.
        degree: degree of the finite elements, 1 to 14; multipliers, such as pressures, take one less if it is above 1.

    Raises:
        InputError: the form has second derivatives, which continuous elements lack.
    """
    mesh = problem.domain.with_cells()
    space, shift = LagrangeSpace(mesh, degree), Shift.of(problem, trial)
    tangents = make_tangents(problem, trial, shift, space, min(MAX_DEGREE, 2 * degree + 4))
    less = lower(len(shift.counts), [pair for tangent in tangents for pair in tangent.slopes], mesh.dimension)
    below = LagrangeSpace(mesh, degree - 1) if any(less) and degree > 1 else space
    mixed = MixedSpace(tuple(below if one else space for one in less))
    met: list[NDArray[np.int64]] = []
    gaps = []
    for unknown in problem.unknowns:
        for component, u in enumerate(components(unknown.function)):
            conditions = [i for i in trial.imposed if i.condition.unknown == unknown.name and i.component == component]
            exact = [mixed.spaces[len(met)].boundary_dofs(mesh.facets(i.condition.on)) for i in conditions if i.how == "exact"]
            for i in conditions:
                if i.how != "exact":
                    gap, facets = Evaluator.of(problem, trial, [u - i.value]), mesh.facets(i.condition.on)
                    gaps.append(Gap(len(met), gap, facets, min(MAX_DEGREE, 2 * degree)))
            met.append(np.unique(np.concatenate(exact)) if exact else np.empty(0, np.int64))
    for support in problem.supports:
        first = sum(u.components for u in problem.unknowns[: [u.name for u in problem.unknowns].index(support.unknown)])
        for component in range(first, first + problem.unknown(support.unknown).components):
            if support.component in (None, component - first):
                held = support_values(support, mixed.spaces[component], trial.background)[0]
                met[component] = np.union1d(met[component], held)
    contact = Contact.of(problem, mixed, Background(mesh))
    nodes = None if contact is None else Evaluator.of(problem, trial, [u.function for u in problem.unknowns])
    bounded = {bound.unknown for bound in problem.bounds}
    left = tuple(motion for motion in allowed(problem, motions(problem)) if motion.unknown not in bounded)
    return Correction(problem, trial, shift, mixed, tangents, tuple(met), tuple(gaps), left, contact, nodes)
