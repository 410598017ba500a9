"""Check that sources, boundary fluxes and moments cancel, if a form leaves constants or rigid motions undetermined.

Otherwise the problem has no solution.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import Mesh
from vpinn.errors import InputError
from vpinn.finite_elements.assembly import Discrete, assemble
from vpinn.finite_elements.essential import prescribed
from vpinn.finite_elements.form import Integrand, integrands, offsets
from vpinn.finite_elements.level import Level
from vpinn.finite_elements.mixed import MixedSpace
from vpinn.finite_elements.motions import Kernel, Motion
from vpinn.forms import Background
from vpinn.problem import Problem

Array = NDArray[np.float64]
DEGREES = (2, 4)
"""Degrees of the two elements with which the data are integrated; the difference of both sums measures the quadrature error."""
FINE = 20_000
"""Number of cells above which degrees 1 and 2 are used instead."""
GAP = 1e-3
"""Largest imbalance, relative to the size of the data, that is accepted here; the error estimate shows smaller ones."""
MARGIN = 10.0
"""Ratio of the imbalance to the difference between both degrees up to which it counts as quadrature error."""


def check_balance(problem: Problem) -> None:
    """Check that the data of a linear weak form or energy balance, if the form leaves motions undetermined.

    If a constant or rotation c can be added to u and to v without a change of the form's terms in u, F(u; c) is the same number
    for all u. It must be zero.

    Raises:
        InputError: it is not zero; the message gives its value.
    """
    mesh, level = problem.domain.mesh, Level.of(problem)
    if not level.motions or mesh is None or problem.formulation.pointwise:
        return
    parts = integrands(problem)
    if not all(part.linear for part in parts):
        return
    degrees = DEGREES if mesh.n_cells <= FINE else (1, 2)
    coarse, fine = (_sums(problem, mesh, parts, level.motions, degree) for degree in degrees)
    for (sum_, _, _), (total, size, seen), motion in zip(coarse, fine, level.motions, strict=True):
        if seen or abs(total) <= max(GAP * size, MARGIN * abs(total - sum_)):
            continue
        unknown, gap = problem.unknown(motion.unknown), f"do not balance by {abs(total):.3g}"
        what = f"no solution: {unknown.name} is open up to a constant, and source and flux {gap}"
        if unknown.shape and unknown.components == mesh.dimension:
            loads = "the moments of its loads" if motion.axes else f"its loads {motion.text.removeprefix('move ')}"
            what = f"no supports hold {unknown.name}: the body is free to {motion.text}, and {loads} {gap}"
        where = problem.where("form", problem.formulation.name)
        raise InputError(f"{what}; give a [[boundary]] value, or data that cancel", where)


def _sums(
    problem: Problem, mesh: Mesh, parts: Sequence[Integrand], opened: Sequence[Motion], degree: int
) -> list[tuple[float, float, bool]]:
    """Return for each motion c the sum F(u; c) of its terms, the sum of their moduli, and whether it depends on u."""
    mixed, rule = MixedSpace.of(mesh, [max(degree, mesh.order)] * offsets(problem)[-1]), min(30, 2 * degree + 4)
    background = Background(mesh)
    values, given = prescribed(problem, mixed, background)
    assemblers = [Discrete.of(part, mixed.highest, len(mixed.spaces), rule, background) for part in parts]
    residual, matrix = assemble(assemblers, mixed, values, np.arange(mixed.size))
    kernel = Kernel.of(mixed, opened)
    unseen = kernel.unseen(matrix.T, ~given)
    moments = [row * residual for row in kernel.functions]
    return [(float(m.sum()), float(np.abs(m).sum()), not one) for m, one in zip(moments, unseen, strict=True)]
