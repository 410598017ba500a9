"""Detect linear problems close to resonance, whose solution amplifies small errors of coefficients and mesh.

Let A = Σ A_k be the operator of a linear form, split into integrals over the domain and over the boundary, and into terms with
values and with derivatives of the test functions. A relative perturbation δ of the parts changes A u by up to δ Σ ‖A_k u‖ in
the dual norm, and u as much as if the data had changed by that. If the parts cancel, so that ‖A u‖ is much smaller than
Σ ‖A_k u‖, the solution depends on digits of coefficients and geometry that are not known. An example is −Δu − k²u = f with k²
close to an eigenvalue, since the mesh alone moves the eigenvalue. Start from ``close_to_resonance``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import Mesh, Points, functions_per_cell
from vpinn.errors import VpinnError
from vpinn.factors import SparseFactors
from vpinn.finite_elements import MixedSpace, assemble, rule_degree, solve_fem
from vpinn.finite_elements.assembly import Discrete
from vpinn.finite_elements.essential import prescribed
from vpinn.finite_elements.form import Integrand, integrands
from vpinn.forms import Background, Value
from vpinn.problem import Problem

Array = NDArray[np.float64]
CANCELS = 1e-3
"""Ratio of ‖A u‖ to Σ ‖A_k u‖ up to which a solution is close to resonance; the well-posed worked problems have 0.26 to 1."""
MOST = 20_000
"""Largest number of basis functions, of all components, of the finite elements with which the ratio is computed."""
DEGREES = (4, 3, 2)
"""Degrees of these elements that are tried; the first with few enough functions is taken."""


@dataclass(frozen=True)
class _Part(Discrete):
    """One part A_k: the terms of an integrand with values of the test functions, or those with derivatives of them.

    Attributes:
        values: whether the terms are those with values.
    """

    values: bool = True

    def outputs(self, points: Points, jets: object, matrix: bool) -> Sequence[Value]:
        """Return coefficients and derivatives; those of other parts are zero."""
        found = super().outputs(points, jets, matrix)  # type: ignore[arg-type]
        tests = [*self.tests, *(test for test, _ in self.slopes if matrix)]
        return [value if (place == 0) == self.values else 0.0 for (_, place), value in zip(tests, found, strict=True)]


def close_to_resonance(problem: Problem) -> str:
    """Return a line for the user if the problem is linear and its solution close to resonance, else ""."""
    mesh = problem.domain.mesh
    if mesh is None or problem.formulation.pointwise:
        return ""
    try:
        parts = integrands(problem)
        size = sum(unknown.components for unknown in problem.unknowns) * mesh.n_cells
        degree = next((p for p in DEGREES if size * functions_per_cell(mesh, p) <= MOST), None)
        if degree is None or not all(part.linear for part in parts) or not _may_cancel(parts):
            return ""
        share = cancellation(problem, mesh, parts, degree)
    except VpinnError:
        return ""
    if share is None or share > CANCELS:
        return ""
    return (
        f"close to resonance: the terms of the form cancel to {share:.0e} of their size, so that the solution changes "
        f"{1 / share:.0e} times as much as coefficients or geometry; move a coefficient away from the eigenvalue, or trust none "
        "of its digits"
    )


def _may_cancel(parts: Sequence[Integrand]) -> bool:
    """Return whether the left side of some equation has two or more parts A_k, which could cancel."""
    kinds = {(test[0], part.region, test[1] == 0) for part in parts for test, _ in part.slopes}
    return any(len({kind[1:] for kind in kinds if kind[0] == component}) > 1 for component, _, _ in kinds)


def cancellation(problem: Problem, mesh: Mesh, parts: Sequence[Integrand], degree: int) -> float | None:
    """Return the ratio of ‖A u‖ to Σ ‖A_k u‖, the largest of all equations; None if A u has no terms.

    Args:
        problem: linear problem.
        mesh: its domain.
        parts: integrands of the form.
        degree: degree of the finite elements that solve it.
    """
    found = solve_fem(problem, degree)
    mixed, background = found.mixed, Background(mesh)
    rule = rule_degree(degree, mesh)
    free = ~prescribed(problem, mixed, background)[1]
    numbering = np.where(free, np.cumsum(free) - 1, -1)
    u = np.concatenate([_own(mixed, component, found.values[component]) for component in range(len(mixed.spaces))])[free]
    images = []
    for part in parts:
        points = part.points(mesh, rule)
        for values in (True, False):
            assembler = _Part(mixed.highest, len(mixed.spaces), points, part.tests, part.slopes, part, background, values)
            images.append(assemble([assembler], mixed, np.zeros(mixed.size), numbering)[1] @ u)
    shares = []
    for component, space in enumerate(mixed.spaces):
        own = mixed.numbers(component)
        rows, kept = numbering[own][free[own]], free[own]
        gram = space.gram().tocsc()[kept][:, kept]
        inverse = SparseFactors(gram.tocsc())
        norms = [float(np.sqrt(max(image[rows] @ inverse.solve(image[rows]), 0.0))) for image in (sum(images), *images)]
        if sum(norms[1:]) > 0.0:
            shares.append(norms[0] / sum(norms[1:]))
    return max(shares, default=None)


def _own(mixed: MixedSpace, component: int, values: Array) -> Array:
    """Return coefficients in the space of the highest degree [highest.size] as coefficients in a component's own space [size]."""
    space, highest = mixed.spaces[component], mixed.highest
    if space is highest:
        return values
    own = np.empty(space.size)
    table = highest.tabulate(space.reference_nodes)[0]
    own[space.dofs] = values[highest.dofs] @ table.T
    return own
