"""Solutions close to resonance: terms of the form that cancel, so that small errors of coefficients and mesh are large in u.

Let A = Σ A_k be the operator of a linear form, with a part A_k for every measure and for values and derivatives of the test
functions. A relative perturbation δ of the parts changes A u by up to δ Σ ‖A_k u‖ in the dual norm, and u as if its data had
changed by that. Where ‖A u‖ is much smaller, as at −Δu − k²u = f with k² close to an eigenvalue, the answer depends on digits
that nobody knows: on a disk of 96 curved cells the geometry moves the eigenvalue by 1e-5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from vpinn.domain import Mesh, Points, functions_per_cell
from vpinn.errors import VpinnError
from vpinn.finite_elements import MixedSpace, assemble, rule_degree, solve_fem
from vpinn.finite_elements.assembly import Discrete
from vpinn.finite_elements.essential import prescribed
from vpinn.finite_elements.form import Integrand, integrands
from vpinn.forms import Background, Value
from vpinn.interrupt import apart
from vpinn.problem import Problem

Array = NDArray[np.float64]
CANCELS = 1e-3
"""‖A u‖ over Σ ‖A_k u‖ below which a solution is close to resonance; well-posed worked problems have 0.26 to 1."""
MOST = 20_000
"""Functions of the elements that tell, of all components."""
DEGREES = (4, 3, 2)
"""Their degree: the first of which they are few enough."""


@dataclass(frozen=True)
class _Part(Discrete):
    """The terms of an integrand with values of the test functions, or those with derivatives of them."""

    values: bool = True

    def outputs(self, points: Points, jets: object, matrix: bool) -> Sequence[Value]:
        """Return coefficients and derivatives, zero but for this part."""
        found = super().outputs(points, jets, matrix)  # type: ignore[arg-type]
        tests = [*self.tests, *(test for test, _ in self.slopes if matrix)]
        return [value if (place == 0) == self.values else 0.0 for (_, place), value in zip(tests, found, strict=True)]


def close_to_resonance(problem: Problem) -> str:
    """Return what to say of a linear problem whose solution is close to resonance, "" of any other."""
    mesh = problem.domain
    if not isinstance(mesh, Mesh) or problem.formulation.pointwise:
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
        f"close to resonance: the terms of the form cancel to {share:.0e} for the solution, which changes by {1 / share:.0e} "
        "times what coefficients or geometry change; move a coefficient away from the eigenvalue, or trust no digit"
    )


def _may_cancel(parts: Sequence[Integrand]) -> bool:
    """Return whether one equation takes values and derivatives of its test function, or integrals inside and on the boundary."""
    kinds = {(test[0], part.facet, test[1] == 0) for part in parts for test, _ in part.slopes}
    return any(len({kind[1:] for kind in kinds if kind[0] == component}) > 1 for component, _, _ in kinds)


def cancellation(problem: Problem, mesh: Mesh, parts: Sequence[Integrand], degree: int) -> float | None:
    """Return ‖A u‖ over Σ ‖A_k u‖, of the equation in which least cancels; None without any term.

    Args:
        problem: linear.
        mesh: its domain.
        parts: integrands of the form.
        degree: of the elements that solve it.
    """
    found = solve_fem(problem, degree)
    mixed, background, rule = found.mixed, Background(mesh), rule_degree(degree, mesh)
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
        inverse = apart(partial(splu, gram.tocsc()))
        norms = [float(np.sqrt(max(image[rows] @ inverse.solve(image[rows]), 0.0))) for image in (sum(images), *images)]
        if sum(norms[1:]) > 0.0:
            shares.append(norms[0] / sum(norms[1:]))
    return max(shares, default=None)


def _own(mixed: MixedSpace, component: int, values: Array) -> Array:
    """Return the coefficients in a component's own space of a function in that of the highest degree."""
    space, highest = mixed.spaces[component], mixed.highest
    if space is highest:
        return values
    own = np.empty(space.size)
    table = highest.tabulate(space.reference_nodes)[0]
    own[space.dofs] = values[highest.dofs] @ table.T
    return own
