"""Solve a problem with finite elements: refine the mesh, assemble the form, and apply Newton's method, in ``solve_fem``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import Mesh, functions_per_cell, refine
from vpinn.errors import InputError
from vpinn.finite_elements.assembly import Discrete, assemble
from vpinn.finite_elements.bounds import Contact
from vpinn.finite_elements.essential import bulge, extended, prescribed
from vpinn.finite_elements.form import Integrand, integrands, offsets
from vpinn.finite_elements.level import Level
from vpinn.finite_elements.mixed import MixedSpace, lower
from vpinn.finite_elements.motions import Kernel, Motion
from vpinn.finite_elements.newton import Converged, newton, solver
from vpinn.finite_elements.solution import FiniteElementSolution, interpolated
from vpinn.finite_elements.ties import TiedFunctions, tied_functions
from vpinn.forms import Background
from vpinn.problem import Evaluable, Problem, refuse_time
from vpinn.process import settle_process

Array = NDArray[np.float64]
MAX_DEGREE = 10
"""Highest degree of the elements."""
MAX_REFINEMENTS = 8
"""Largest number of refinements of the mesh."""
UNBALANCED = 0.05
"""Largest imbalance of the data, relative to the sources, that is put down to coarse quadrature if a constant is undetermined."""
ROUNDED = 1e-10
"""Largest imbalance, relative to the terms of the equations, that is put down to rounding."""
LARGEST = {1: 3_000_000, 2: 1_000_000, 3: 150_000}
"""Dimension → number of degrees of freedom above which the factors would take more than about 4 GB."""


def solve_fem(
    problem: Problem,
    degree: int | Mapping[str, int] = 2,
    refinements: int = 0,
    near: FiniteElementSolution | None = None,
    start: Evaluable | None = None,
) -> FiniteElementSolution:
    """Solve a problem with continuous Lagrange elements instead of a network.

    The form is that of the problem file: a weak form, or the first variation of an energy. Essential conditions are imposed at
    the nodes of the boundary, however the problem imposes them on a network.

    Args:
        problem: problem with a mesh, and an energy or a weak form.
        degree: polynomial degree of the elements, 1 to 10; multipliers, such as the pressure of a flow, get one less. Or
            unknown → degree of its elements.
        refinements: how often the mesh is refined first, each cell into 2^d, 0 to 8.
        near: a solution of the same problem with other elements, which shows where obstacles are touched, and where Newton's
            method starts.
        start: fields of the same unknowns from which Newton's method starts without ``near``; None: it starts from the harmonic
            extension of the boundary values.

    Raises:
        InputError: the problem has no mesh, no weak form, or one with second derivatives; there would be too many degrees
            of freedom; the data do not balance; or the system is singular.
        DivergenceError: Newton's method does not converge.
    """
    began = time.perf_counter()
    settle_process()
    meshes = [check(problem, degree, refinements)]
    for _ in range(refinements):
        meshes.append(refine(meshes[-1]))
    mesh, parts = meshes[-1], integrands(problem)
    degrees = degrees_of(problem, parts, degree)
    ready = time.perf_counter()
    mixed, background = MixedSpace.of(mesh, degrees), Background(mesh)
    assemblers = discretised(parts, mixed, background)
    values, given = prescribed(problem, mixed, background)
    opened, free = Level.of(problem).motions, ~given
    kernel, everything = Kernel.of(mixed, opened), np.arange(mixed.size)
    sources = assemble(assemblers, mixed, values, everything, False)[0] if opened else None
    free[kernel.pins_without(tied_functions(problem, mixed))] = False  # instead of means, which are subtracted below
    numbering = np.where(free, np.cumsum(free) - 1, -1)
    linear = all(part.linear for part in parts)
    restraint = Contact.of(problem, mixed, background) or TiedFunctions.of(problem, mixed, values, free)
    known = None if near is None or (linear and not problem.bounds) else near.interpolated(mixed)
    if not linear:
        if known is None and start is not None:
            known = interpolated(start, problem.unknowns, mixed)
        begun = extended(mixed, values, given) if known is None else np.nan_to_num(known, nan=0.0)
        values = np.where(given, values, begun)

    def system(u: Array, matrix: bool) -> tuple[Array, Any]:
        full = values.copy()
        full[free] = u
        return assemble(assemblers, mixed, full, numbering, matrix)

    found, used = _found(system, values, free, restraint, known, mixed, linear)
    values[free] = found.values
    if sources is not None:
        left = assemble(assemblers, mixed, values, everything, False)[0]
        sizes = np.zeros(mixed.size)  # of the terms that cancel in every equation
        matrix = system(values[free], True)[1] if problem.ties else found.matrix
        sizes[used] = abs(matrix) @ np.abs(values[used])
        allowed = np.abs(kernel.functions) @ (UNBALANCED * np.abs(sources) + ROUNDED * sizes)
        if (np.abs(kernel.functions @ left) > allowed).any():
            raise InputError(
                f"finite elements: the system is singular: the form leaves {_told(opened)} undetermined, and its data do not "
                "balance; let sources and boundary fluxes cancel, or give a [[boundary]] value",
                problem.where("form", problem.formulation.name),
            )
        values = kernel.without(values)
    seconds = {"setup": ready - began, "solve": time.perf_counter() - ready}
    return FiniteElementSolution(problem, tuple(meshes), mixed, mixed.embedded(values), found.steps, seconds)


def _found(
    system: Callable[[Array, bool], tuple[Array, Any]],
    values: Array,
    free: NDArray[np.bool_],
    restraint: Contact | TiedFunctions | None,
    near: Array | None,
    mixed: MixedSpace,
    linear: bool,
) -> tuple[Converged, NDArray[np.bool_]]:
    """Return the solution of the equations of the free functions, and the functions that its matrix is of [mixed.size].

    Args:
        system: F(u) and its derivative.
        values: start, with the values that are given [mixed.size].
        free: which are not given [mixed.size].
        restraint: bounds or ties; None without any.
        near: a function close to the solution [mixed.size]; None without one.
        mixed: the elements.
        linear: whether the derivative is the same everywhere.
    """

    def solved(start: Array) -> tuple[Converged, NDArray[np.bool_]]:
        if restraint is not None:
            return restraint.solve(system, start, free, linear, near)
        return newton(system, start, partial(solver, mixed=mixed, free=free)), free

    try:
        return solved(values[free])
    except InputError:
        if linear:
            raise
        # a form such as div(|∇u|² ∇u) has no derivative where u is constant: start from a field that is nowhere
        return solved((values + bulge(mixed, ~free))[free])


def discretised(parts: Sequence[Integrand], mixed: MixedSpace, background: Background) -> list[Discrete]:
    """Return the assemblers of a form on elements, one per measure, with quadrature that suits their degree."""
    rule = rule_degree(mixed.highest.degree, mixed.mesh)
    return [Discrete.of(part, mixed.highest, len(mixed.spaces), rule, background) for part in parts]


def _told(opened: Sequence[Motion]) -> str:
    """Name the undetermined motions for an error message."""
    return "rigid motions" if any(motion.axes for motion in opened) else "a constant"


def rule_degree(degree: int, mesh: Mesh) -> int:
    """Return the degree of the quadrature with which elements of a degree are assembled."""
    return min(30, 2 * degree + (2 if mesh.affine else 4))


def degrees_of(problem: Problem, parts: Sequence[Integrand], degree: int | Mapping[str, int]) -> tuple[int, ...]:
    """Return the degree of every component: that given for its unknown, or the one degree given, less one for multipliers.

    Raises:
        InputError: an unknown has no degree, a name belongs to no unknown, or a multiplier would have degree 0.
    """
    where = problem.where("reference", "fem")
    if isinstance(degree, Mapping):
        names = [unknown.name for unknown in problem.unknowns]
        if wrong := sorted(set(degree) - set(names)):
            raise InputError(f"reference.fem.degree: there is no unknown '{wrong[0]}'; name {', '.join(names)}", where)
        if missing := [name for name in names if name not in degree]:
            message = f"reference.fem.degree: no degree for {', '.join(missing)}; name every unknown, or give one number"
            raise InputError(message, where)
        return tuple(degree[unknown.name] for unknown in problem.unknowns for _ in range(unknown.components))
    less = lower(offsets(problem)[-1], [pair for part in parts for pair in part.slopes], problem.symbols.dimension)
    if degree == 1 and any(less):
        first = less.index(True)
        name = next(u.name for u, start in zip(problem.unknowns, offsets(problem)[1:], strict=True) if first < start)
        raise InputError(
            f"finite elements of degree 1 leave degree 0 for {name}, whose degree is one less than the others'; use 2 or more",
            where,
        )
    return tuple(degree - one for one in less)


def expected_functions(problem: Problem, degree: int) -> float:
    """Return about how many functions elements of a degree have on the mesh of a problem, of all components."""
    mesh = problem.domain.with_cells()
    return mesh.n_cells * functions_per_cell(mesh, degree) * sum(unknown.components for unknown in problem.unknowns)


def lowest_degree(problem: Problem) -> int:
    """Return the lowest degree that elements of a problem may have: 2 if a multiplier takes one less, else 1.

    Raises:
        InputError: the form has second derivatives.
    """
    slopes = [pair for part in integrands(problem) for pair in part.slopes]
    return 1 + any(lower(offsets(problem)[-1], slopes, problem.symbols.dimension))


def check(problem: Problem, degree: int | Mapping[str, int], refinements: int) -> Mesh:
    """Check that finite elements can solve a problem, and return its mesh.

    Args:
        problem: the problem.
        degree: degree of the elements, or unknown → degree.
        refinements: number of refinements of the mesh.

    Raises:
        InputError: they cannot; the message says why and what to do.
    """
    refuse_time(problem, "finite elements solve")
    where = problem.where("reference", "fem")
    no_cells = "finite elements need a mesh; a hypercube has no cells, use a rectangle or box, or a mesh file"
    mesh = problem.domain.with_cells(no_cells, where)
    if problem.formulation.pointwise:
        raise InputError("finite elements need a weak form or an energy; a strong form holds second derivatives", where)
    for one in degree.values() if isinstance(degree, Mapping) else (degree,):
        if not (1 <= one <= MAX_DEGREE and 0 <= refinements <= MAX_REFINEMENTS):
            raise InputError(
                f"finite elements take degrees 1 to {MAX_DEGREE} and 0 to {MAX_REFINEMENTS} refinements, "
                f"got {one} and {refinements}",
                where,
            )
    degrees, d = degrees_of(problem, integrands(problem), degree), mesh.dimension
    dofs = mesh.n_cells * 2 ** (d * refinements) * sum(functions_per_cell(mesh, one) for one in degrees)
    if dofs > LARGEST[d]:
        raise InputError(
            f"finite elements of degree {max(degrees)} after {refinements} refinements have about {dofs:,.0f} unknowns, over "
            f"{LARGEST[d]:,} in {d} dimensions; lower refine or degree",
            where,
        )
    return mesh
