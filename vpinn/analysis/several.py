"""Whether a nonlinear problem has several solutions: Newton's method with deflation on elements of low degree.

Along a mode φ of the derivative at a solution u₁ that is known, g(a) = F(u₁ + aφ; φ) vanishes at a = 0. Where it vanishes
once more, Galerkin's method with one function has another solution, from which Newton's method starts. So that it does not
end at u₁, this is divided out: the zeros of m(u)F(u) with m = 1 + s²/‖u − u₁‖² are those of F but for u₁, and s is the
distance of the start (Farrell, Birkisson & Funke 2015, SIAM J. Sci. Comput. 37, A2026–A2045). A step for m F is one along
that for F, of another length. What is found is a solution only where elements of a higher degree have it, too: coarse ones
have some of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.analysis.flux import measured
from vpinn.domain import Mesh, functions_per_cell
from vpinn.errors import VpinnError
from vpinn.finite_elements import MixedSpace, assemble, lowest_degree, rule_degree
from vpinn.finite_elements.assembly import Discrete
from vpinn.finite_elements.essential import bulge, extended, prescribed
from vpinn.finite_elements.form import Integrand, integrands, offsets
from vpinn.finite_elements.mixed import lower
from vpinn.finite_elements.newton import factorise, newton
from vpinn.forms import Background, components
from vpinn.problem import Problem
from vpinn.solution import Solution

Array = NDArray[np.float64]
DEGREES = 2, 4
"""Degrees of the elements that look for another solution, and of those that confirm it."""
MOST = 6_000
"""Functions of the latter, of all components, above which nothing is looked for, to bound the time to seconds."""
MODES, ITERATIONS = 2, 6
"""Modes of the derivative beside a first one without nodes, and inverse iterations for them."""
LEAST, MOST_TIMES, LARGE, PER_DECADE = 1e-3, 1e6, 1e3, 2
"""Amplitudes a of a mode at which g is looked at: from a share of the solution to a multiple of it, and at least to a number,
since the solution may be zero, or rounding; and how many there are in a decade."""
STEPS = 25
"""Newton steps from a start."""
LONGEST = 1.0
"""Length of a step, relative to what it starts from and the distance of the start, above which it is shortened."""
ENDED = 1e-9
"""Length of a step, relative to the solution, at which Newton's method has ended."""
APART = 0.05
"""Distance from the solution, relative to the larger of the two, above which there is another."""
SAME = 0.2
"""Distance of the two degrees, relative to that from the first solution, up to which they have found the same."""


@dataclass(frozen=True)
class _System:
    """A form on elements of one degree: F(u) and its derivative, of the functions that no condition gives."""

    problem: Problem
    mesh: Mesh
    parts: tuple[Integrand, ...]
    degree: int

    @cached_property
    def mixed(self) -> MixedSpace:
        """Elements of every component; multipliers have one degree less."""
        slopes = [pair for part in self.parts for pair in part.slopes]
        less = lower(offsets(self.problem)[-1], slopes, self.mesh.dimension)
        return MixedSpace.of(self.mesh, [self.degree - one for one in less])

    @cached_property
    def _given(self) -> tuple[Array, NDArray[np.bool_]]:
        return prescribed(self.problem, self.mixed, Background(self.mesh))

    @cached_property
    def start(self) -> Array:
        """The values on the boundary, continued into the domain [size]."""
        return extended(self.mixed, *self._given)

    @cached_property
    def bump(self) -> Array:
        """A field of size one that vanishes where values are given [size]."""
        return bulge(self.mixed, self._given[1])

    @cached_property
    def _assemblers(self) -> list[Discrete]:
        rule, count = rule_degree(self.degree, self.mesh), len(self.mixed.spaces)
        background = Background(self.mesh)
        return [Discrete.of(part, self.mixed.highest, count, rule, background) for part in self.parts]

    def within(self, free: Array, matrix: bool) -> tuple[Array, Any]:
        """Return F(u) and its derivative for the values of the free functions."""
        open_ = ~self._given[1]
        full = self.start.copy()
        full[open_] = free
        return assemble(self._assemblers, self.mixed, full, np.where(open_, np.cumsum(open_) - 1, -1), matrix)

    def free(self, values: Array) -> Array:
        """Return the values of the free functions [free] among all [size]."""
        free: Array = values[~self._given[1]]
        return free

    def whole(self, free: Array) -> Array:
        """Return all values [size], given those of the free functions."""
        full = self.start.copy()
        full[~self._given[1]] = free
        return full

    def interpolated(self, evaluate: Callable[[Array], Array]) -> Array:
        """Return the values [size] of a function, points → [components, n], at the nodes; 0 where it has none."""
        rows = [evaluate(space.locations())[component] for component, space in enumerate(self.mixed.spaces)]
        return np.asarray(np.nan_to_num(np.concatenate(rows)))


def another_solution(solution: Solution) -> str:
    """Return what to say of a nonlinear problem that has another solution; "" where none is found, or nothing can be said.

    Nothing is looked for where the exact solution of all unknowns is stated, which says which is meant.

    Args:
        solution: one of the problem, on a mesh.
    """
    problem = measured(solution.problem)
    mesh = problem.domain.mesh
    if mesh is None or problem.formulation.pointwise or set(problem.exact) == {u.name for u in problem.unknowns}:
        return ""
    if mesh.n_cells * functions_per_cell(mesh, DEGREES[1]) * offsets(problem)[-1] > MOST:
        return ""
    try:
        parts = integrands(problem)
        if all(part.linear for part in parts) or lowest_degree(problem) > DEGREES[0]:
            return ""
        return _told(solution, *(_System(problem, mesh, parts, max(degree, mesh.order)) for degree in DEGREES))
    except (VpinnError, np.linalg.LinAlgError):
        return ""


def _told(solution: Solution, coarse: _System, fine: _System) -> str:
    """Return what to say where elements have another solution; "" else.

    Raises:
        InputError: elements do not solve the problem.
        DivergenceError: they do not find the solution that is known.
    """

    def known(x: Array) -> Array:
        fields = solution.evaluate(x)
        return np.concatenate([fields[u.name].reshape(len(x), -1).T for u in solution.problem.unknowns])

    here = newton(coarse.within, coarse.free(coarse.interpolated(known))).values
    for start in _starts(coarse, here):
        try:
            found = _deflated(coarse, start, here)
            if found is None or _distance(found, here) <= APART:
                continue
            first, second = (newton(fine.within, fine.free(_raised(coarse, fine, values))).values for values in (here, found))
        except VpinnError:
            continue
        moved = np.linalg.norm(second - fine.free(_raised(coarse, fine, found)))
        if _distance(second, first) > APART and moved <= SAME * np.linalg.norm(second - first):
            return _line(fine, fine.whole(first), fine.whole(second))
    return ""


def _starts(system: _System, known: Array) -> Iterator[Array]:
    """Yield fields near which there may be another solution [free]: those nearest to the known one along some modes.

    Raises:
        InputError: the derivative is singular.
    """
    inverse = factorise(system.within(known, True)[1])
    modes = np.cos(np.arange(len(known))[:, None] ** 2 * np.arange(1, MODES + 1))
    for _ in range(ITERATIONS):
        modes = np.linalg.qr(np.stack([inverse(mode) for mode in modes.T], axis=1))[0]
    unit = float(np.abs(known).max()) or 1.0
    least, most = LEAST * unit, max(MOST_TIMES * unit, LARGE)
    sizes = np.geomspace(least, most, int(PER_DECADE * np.log10(most / least)) + 1)
    for mode in (system.free(system.bump), *modes.T):
        mode = mode / (np.abs(mode).max() or 1.0)
        for sign in (1.0, -1.0):
            before = 0.0
            for size in sign * sizes:
                along = float(mode @ system.within(known + size * mode, False)[0]) * sign
                if not np.isfinite(along):
                    break
                if along * before < 0.0:
                    yield known + size * mode
                    break
                before = along


def _deflated(system: _System, start: Array, known: Array) -> Array | None:
    """Return what Newton's method with deflation ends at [free]; None where it does not end.

    Raises:
        InputError: a derivative on the way is singular.
    """
    u, size = start, float(np.linalg.norm(start - known))
    for _ in range(STEPS):
        residual, matrix = system.within(u, True)
        if not np.isfinite(residual).all():
            return None
        step, away = -factorise(matrix)(residual), u - known
        square = float(away @ away)
        slope = -2.0 * size**2 / square**2 * float(away @ step) / (1.0 + size**2 / square)
        step = step / (1.0 - slope) if slope != 1.0 else step
        length, scale = float(np.linalg.norm(step)), float(np.linalg.norm(u)) + size
        if not np.isfinite(length):
            return None
        u = u + step * min(1.0, LONGEST * scale / (length or 1.0))
        if length <= ENDED * scale:
            return u
    return None


def _distance(one: Array, other: Array) -> float:
    """Return the distance of two fields relative to the larger; 0 of two that vanish."""
    return float(np.linalg.norm(one - other)) / (max(float(np.linalg.norm(one)), float(np.linalg.norm(other))) or 1.0)


def _raised(coarse: _System, fine: _System, free: Array) -> Array:
    """Return the values [fine size] of a function of a lower degree, given those of its free functions, on the same mesh."""
    return coarse.mixed.raised(coarse.whole(free), fine.mixed)


def _line(system: _System, one: Array, other: Array) -> str:
    """Return in one line where two solutions differ most."""
    problem, at = system.problem, int(np.abs(one - other).argmax())
    component = int(np.searchsorted(system.mixed.first, at, side="right")) - 1
    place = system.mixed.spaces[component].locations()[at - system.mixed.first[component]]
    names = [unknown.name for unknown in problem.unknowns for _ in components(unknown.function)]
    where = ", ".join(f"{axis} = {value:.2g}" for axis, value in zip("xyz", place, strict=False))
    return (
        f"not unique, one solution of several: elements have another, with {names[component]} = {other[at]:.3g} at {where} where "
        f"this one has {one[at]:.3g}; say which is meant: bound {names[component]} by an [[obstacle]], or write a form that the "
        "other one does not solve, such as abs(T)*T**3 instead of T**4 for a temperature that is never negative"
    )
