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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import Mesh, Points, functions_per_cell
from vpinn.errors import VpinnError
from vpinn.factors import SparseFactors
from vpinn.finite_elements import Level, MixedSpace, assemble, rule_degree, solve_fem
from vpinn.finite_elements.assembly import Discrete
from vpinn.finite_elements.essential import prescribed
from vpinn.finite_elements.form import Integrand, integrands
from vpinn.finite_elements.solve import degrees_of, lowest_degree
from vpinn.forms import Background, Value
from vpinn.problem import Problem

Array = NDArray[np.float64]
CANCELS = 1e-3
"""Ratio of ‖A u‖ to Σ ‖A_k u‖ up to which a solution is close to resonance; the well-posed worked problems have 0.26 to 1."""
MATCHES = 1e-5
"""The same ratio of a mode, which need not be part of the solution, up to which a coefficient is an eigenvalue: elements leave
less than 1e-6 where a few cells lie across a wave."""
BESIDE = 1e-6
"""Size of the terms of an equation, relative to those of the largest, up to which a function takes no part in it."""
ITERATIONS = 3
"""Inverse iterations for a mode; one is enough at an eigenvalue."""
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
        terms = SplitForm.of(problem, mesh, parts, degree)
        if not Level.of(problem).motions and (mode := terms.free_mode(parts)) is not None:
            return (
                f"not unique, or no solution: any multiple of a mode can be added to {terms.peak(mode)}; a coefficient is an "
                "eigenvalue: move it away"
            )
        share = terms.share(terms.solution())
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


@dataclass(frozen=True)
class SplitForm:
    """The parts A_k of the form on finite elements, for those of their functions that no condition gives.

    Attributes:
        problem: linear problem.
        mixed: the elements.
        free: which functions no condition gives [mixed.size].
        parts: A_k as sparse matrices [free, free].
        degree: degree of the elements.
    """

    problem: Problem
    mixed: MixedSpace
    free: NDArray[np.bool_]
    parts: tuple[Any, ...]
    degree: int

    @classmethod
    def of(cls, problem: Problem, mesh: Mesh, parts: Sequence[Integrand], degree: int) -> SplitForm:
        """Assemble the parts of the integrands of a problem on elements of a degree."""
        mixed = MixedSpace.of(mesh, degrees_of(problem, parts, degree))
        background, rule = Background(mesh), rule_degree(degree, mesh)
        free = ~prescribed(problem, mixed, background)[1]
        numbering = np.where(free, np.cumsum(free) - 1, -1)
        found = []
        for part in parts:
            points = part.points(mesh, rule)
            for values in (True, False):
                one = _Part(mixed.highest, len(mixed.spaces), points, part.tests, part.slopes, part, background, values)
                found.append(assemble([one], mixed, np.zeros(mixed.size), numbering)[1])
        return cls(problem, mixed, free, tuple(found), degree)

    def solution(self) -> Array:
        """Return the solution by these elements, its free coefficients [free].

        Raises:
            InputError: there is none.
        """
        found = solve_fem(self.problem, self.degree)
        return np.concatenate([_own(self.mixed, c, found.values[c]) for c in range(len(self.mixed.spaces))])[self.free]

    def free_mode(self, parts: Sequence[Integrand]) -> Array | None:
        """Return a function [free] that can be added to a solution, as a coefficient is an eigenvalue; None if there is none.

        Where elements are too coarse to tell, the ratio is extrapolated from that of the degree below.
        """
        mode = self.mode()
        share = None if mode is None else self.share(mode)
        if share is None or share > CANCELS:
            return None
        if share > MATCHES and self.degree > lowest_degree(self.problem):
            below = SplitForm.of(self.problem, self.mixed.mesh, parts, self.degree - 1)
            coarse = below.mode()
            before = None if coarse is None else below.share(coarse)
            share = share if before is None else min(share, share**2 / max(before, share))
        return mode if share <= MATCHES else None

    def mode(self) -> Array | None:
        """Return the function [free] with the least ratio ‖A φ‖/‖φ‖; None if A has no factors, as it is singular."""
        matrix = sum(self.parts).tocsc()
        try:
            inverse, mode = SparseFactors(matrix), np.cos(np.arange(matrix.shape[0]) ** 2)
        except RuntimeError:
            return None
        for _ in range(ITERATIONS):
            mode = inverse.solve(self._normed(inverse.solve(self._normed(mode), transposed=True)))
            if not np.isfinite(mode).all() or not mode.any():
                return None
            mode /= np.abs(mode).max()
        return np.asarray(mode)

    def _normed(self, values: Array) -> Array:
        """Return the product [free] with the matrix of the scalar product of H¹ of every component."""
        whole = np.zeros(self.mixed.size)
        whole[self.free] = values
        for c, space in enumerate(self.mixed.spaces):
            whole[self.mixed.numbers(c)] = space.gram() @ whole[self.mixed.numbers(c)]
        return np.asarray(whole[self.free])

    def share(self, values: Array) -> float | None:
        """Return the ratio of ‖A u‖ to Σ ‖A_k u‖, the largest of all equations that u takes part in; None if A u has no terms."""
        images, number = [part @ values for part in self.parts], np.cumsum(self.free) - 1
        norms = []
        for component, space in enumerate(self.mixed.spaces):
            own = self.mixed.numbers(component)
            kept = self.free[own]
            rows = number[own][kept]
            inverse = SparseFactors(space.gram().tocsc()[kept][:, kept].tocsc())
            one = [float(np.sqrt(max(image[rows] @ inverse.solve(image[rows]), 0.0))) for image in (sum(images), *images)]
            norms.append((one[0], sum(one[1:])))
        least = BESIDE * max(size for _, size in norms)
        return max((left / size for left, size in norms if size > least), default=None)

    def peak(self, values: Array) -> str:
        """Return the unknown that is largest in a function [free], and where, in words."""
        whole = np.zeros(self.mixed.size)
        whole[self.free] = np.abs(values)
        at = int(whole.argmax())
        component = int(np.searchsorted(self.mixed.first, at, side="right")) - 1
        names = [unknown.name for unknown in self.problem.unknowns for _ in range(unknown.components)]
        place = self.mixed.spaces[component].locations()[at - int(self.mixed.first[component])]
        told = ", ".join(f"{axis} = {value:.2g}" for axis, value in zip("xyz", place, strict=False))
        return f"{names[component]}, largest near {told}"


def _own(mixed: MixedSpace, component: int, values: Array) -> Array:
    """Return coefficients in the space of the highest degree [highest.size] as coefficients in a component's own space [size]."""
    space, highest = mixed.spaces[component], mixed.highest
    if space is highest:
        return values
    own = np.empty(space.size)
    table = highest.tabulate(space.reference_nodes)[0]
    own[space.dofs] = values[highest.dofs] @ table.T
    return own
