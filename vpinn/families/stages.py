"""Stages of a family: reduced spaces on richer and richer elements, until the bound over the box is small, or grows too costly.

A bound that more members do not lower is that of the elements. Their degree rises then, or cells are bisected where the residual
of the worst member sits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vpinn.analysis import concentrated, refined
from vpinn.domain import divisible
from vpinn.families.elements import Assembled, Discretisation
from vpinn.families.factors import FormFactors
from vpinn.families.greedy import TRAINED, Chosen, Forms, choose, corners, sample
from vpinn.families.interpolation import interpolate
from vpinn.families.product import Product
from vpinn.families.terms import Factors, Terms, boundary_factors
from vpinn.finite_elements import expected_functions, lowest_degree
from vpinn.problem import Case, member

Array = NDArray[np.float64]
TOLERANCE = 1e-6
"""Relative bound over the box that is small enough where nothing is asked for."""
RISE = {1: 2, 2: 2, 3: 1}
"""Degrees by which the elements of residuals are higher."""
FIRST = {1: 4, 2: 4, 3: 2}
"""Dimension → degree of the first elements."""
LAST = {1: 10, 2: 10, 3: 4}
"""Dimension → degree of the last elements."""
MOST = {1: 50_000, 2: 40_000, 3: 20_000}
"""Dimension → functions that the elements of residuals may have."""
SECONDS = 4e-4
"""Seconds of a stage per function of the elements of residuals, as they are counted."""
SPENT = 20.0
"""Seconds of all stages together, as they are counted."""
GAIN = 4.0
"""Factor per degree below which a bound falls slowly, so that cells are bisected."""
STAGNANT, PATIENCE = 0.5, 2
"""Ratio of the bounds of two stages above which the later gains little, and stages in a row that do."""


@dataclass(frozen=True, eq=False)
class FamilyStage:
    """A reduced space on elements of one degree.

    Attributes:
        forms: the family on elements.
        chosen: the reduced space.
        seconds: since the first stage began.
    """

    forms: Forms
    chosen: Chosen
    seconds: float

    @property
    def degree(self) -> int:
        """Degree of the elements."""
        return self.forms.coarse.elements.mixed.highest.degree

    @property
    def relative(self) -> float:
        """Largest relative bound over the trained values."""
        return self.chosen.relative


def solve_in_stages(
    problem: Case,
    asked: float | None,
    generator: np.random.Generator,
    note: Callable[[FamilyStage], bool],
    watch: Callable[[float], bool] = lambda bound: True,
) -> tuple[FamilyStage, str]:
    """Return the best stage, and why there is no further one: "tolerance" or "grown".

    Args:
        problem: a family on a mesh.
        asked: relative bound that is small enough; None for ``TOLERANCE``.
        generator: random numbers of the trained values and of starts of iterations.
        note: called with every stage; if it returns False, the stages end.
        watch: called with the largest bound after every member; if it returns False, the stages end.

    Raises:
        InputError: elements cannot state the problem, or a member is singular.
    """
    tolerance = asked or TOLERANCE
    best, slow = None, 0
    for stage in _stages(problem, tolerance, generator, watch):
        slow = 0 if best is None or stage.relative <= STAGNANT * best.relative else slow + 1
        if best is None or stage.relative < best.relative:
            best = stage
        if not note(stage) or best.relative <= tolerance or slow == PATIENCE:
            break
    assert best is not None
    return best, "tolerance" if best.relative <= tolerance else "grown"


def _stages(
    problem: Case, tolerance: float, generator: np.random.Generator, watch: Callable[[float], bool]
) -> Iterator[FamilyStage]:
    began = time.perf_counter()
    spent = 0.0
    parameters = problem.ranges
    d = problem.domain.dimension
    terms, boundary = Terms.of(problem), boundary_factors(problem)
    trained = np.concatenate([corners(parameters), sample(parameters, TRAINED, generator)])
    first = parameters.center[None]
    degree = max(FIRST[d], lowest_degree(member(problem, parameters.center)))
    kept: dict[int, Assembled] = {}
    before: FamilyStage | None = None
    while True:
        mesh = problem.domain.with_cells()
        forms = _forms(problem, degree, terms, boundary, kept, generator)
        coercive = None if before is None else before.chosen.space.coercive
        chosen = choose(forms, trained, first, tolerance, generator, watch, coercive)
        stage = FamilyStage(forms, chosen, time.perf_counter() - began)
        yield stage
        spent += SECONDS * expected_functions(problem, degree + RISE[d])
        rise = degree + RISE[d]
        gain = 0.0
        if before is not None and before.forms.coarse.elements.mesh is mesh:
            gain = (before.relative / stage.relative) ** (1 / (degree - before.degree))
        shares = cell_shares(stage)
        cuts = divisible(mesh) and concentrated(mesh, shares) and (gain < GAIN if before is not None else False)
        if cuts or rise > LAST[d]:
            if not divisible(mesh):
                return
            problem, kept = replace(problem, domain=refined(mesh, shares)), {}
        else:
            degree = rise
        size = expected_functions(problem, degree + RISE[d])
        if size > MOST[d] or spent + SECONDS * size > SPENT:
            return
        first, before = chosen.members, stage


def _forms(  # the levels of the stage before are in ``kept``, and those of this one are put there
    problem: Case,
    degree: int,
    terms: Terms,
    boundary: Factors,
    kept: dict[int, Assembled],
    generator: np.random.Generator,
) -> Forms:
    """Return the form of a family on elements of a degree, and on those that residuals are tested with."""
    parameters, mesh = problem.ranges, problem.domain.with_cells()
    interpolated = tuple(
        interpolate(rest, mesh, degree, lambda count: sample(parameters, count, generator)) for rest in terms.rests
    )
    factors = FormFactors(terms.factors, interpolated, boundary)
    levels = degree, degree + RISE[mesh.dimension]
    for one in levels:
        if one not in kept or interpolated:
            kept[one] = Assembled.of(Discretisation.of(problem, one, boundary, generator), terms, interpolated)
    coarse, fine = (kept[one] for one in levels)
    middle = factors(parameters.center[None])[0][0]
    product = Product.of(fine, middle)
    return Forms(parameters, factors, coarse, fine, product, Product.of(coarse, middle, product.energy))


def cell_shares(stage: FamilyStage) -> Array:
    """Return the size of the residual's representative in every cell [n_cells], at the member with the largest bound."""
    forms, chosen = stage.forms, stage.chosen
    at = int(chosen.answers.relative.argmax())
    elements = forms.fine.elements
    theta = forms.factors(chosen.trained[at : at + 1])[0][0]
    whole = elements.mixed
    u = forms.coarse.elements.mixed.raised(chosen.answers.shares[at] @ chosen.functions, whole)
    residual = theta @ forms.fine.sources + forms.fine.applied(theta, u)
    error = np.zeros(whole.size)
    error[elements.free] = forms.product.solve(residual[elements.free])
    found = np.zeros(whole.mesh.n_cells)
    for component, space in enumerate(whole.spaces):
        own = error[whole.numbers(component)]
        for cells, local in space.cell_stiffness():
            part = own[space.dofs[cells]]
            found[cells] += np.einsum("mi,mij,mj->m", part, local, part)
    return np.sqrt(np.maximum(found, 0.0))
