"""How finely an objective is discretised: degree and kind of quadrature rule, number of points, degree of the tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vpinn.domain import BoundaryPart, Inside, PointSet
from vpinn.objective.integrands import Integrands
from vpinn.objective.test_space import TestSpace
from vpinn.problem import Problem, Settings

SUMMED = 2**22
"""Largest number of points of a random rule that is used where sums run over all points."""


@dataclass(frozen=True)
class Resolution:
    """What of an objective's discretisation is prescribed; what is None follows from the settings.

    Attributes:
        degree: quadrature degree, 1 to 30.
        facets: quadrature degree on the boundary; None for that of the domain.
        refine: how often every cell is halved before the rule is applied; None for ``quadrature.refine`` of the settings, or less
            if ``degree`` or ``summed`` is given and sums over so many points are not affordable.
        tests: degree of the test space, ≥ 1.
        summed: whether to take few enough points that sums over all of them are affordable, at most ``SUMMED`` on a hypercube.
    """

    degree: int | None = None
    facets: int | None = None
    refine: int | None = None
    tests: int | None = None
    summed: bool = False


FROM_SETTINGS = Resolution()
"""Nothing is prescribed: everything follows from the settings."""


def quadrature_degree(problem: Problem, settings: Settings, space: TestSpace | None = None) -> int:
    """Return the quadrature degree of the settings, or a default for mesh and test space.

    Without a test space the default falls from 10 on a hundred cells to 4 on a hundred thousand, because the number of points
    that a network needs does not grow with the number of cells. With test functions of degree p it is 2p + 3, which integrates
    their products with fields of degree p + 3 exactly.
    """
    asked = settings.quadrature.degree
    if asked is not None:
        return int(asked)
    if space is not None:
        return min(30, 2 * space.space.degree + 3)
    return int(np.clip(round(14 - 2 * np.log10(max(1, problem.domain.n_cells))), 4, 10))


def quadrature_rule(problem: Problem, settings: Settings) -> tuple[str, int]:
    """Return the kind of quadrature rule and the number of points that it has on a hypercube.

    The default number is 2¹² in one dimension, 2¹⁴ in two and 2¹⁵ in more.

    Raises:
        InputError: the rule needs a mesh and there is none.
    """
    asked, domain = settings.quadrature, problem.domain
    rule = asked.rule if asked.rule != "auto" else domain.rule
    if rule in ("gauss", "stochastic-gauss"):
        domain.with_cells(f'quadrature.rule = "{rule}" needs the cells of a mesh; use "sobol" or "monte-carlo" on a hypercube')
    if asked.refine:
        domain.with_cells("quadrature.refine halves the cells of a mesh; give quadrature.points on a hypercube")
    return rule, asked.points or 2 ** min(15, 10 + 2 * domain.dimension)


def expected_points(problem: Problem, settings: Settings) -> int:
    """Return how many quadrature points settings put into the domain of a problem, before a test space requires others."""
    rule, count = quadrature_rule(problem, settings)
    refine = settings.quadrature.refine
    return Inside(problem.domain).points(quadrature_degree(problem, settings), count, rule, 0, refine).size


def quadrature_points(problem: Problem, settings: Settings, side: Integrands, degree: int, refine: int, summed: bool) -> PointSet:
    """Return the quadrature points of the integrands over one region; see `Resolution` for ``summed``."""
    domain, seed = problem.domain, settings.solver.seed
    rule, count = quadrature_rule(problem, settings)
    count = min(count, SUMMED) if summed else count
    if side.region is Inside:
        return Inside(domain).points(degree, count, rule, seed, refine)
    tagged = domain.facets(tuple(sorted(side.tags))) if side.tags else np.empty(0, np.int64)
    return BoundaryPart(domain, np.union1d(tagged, side.rows)).points(degree, max(1, count // 4), rule, seed, refine)
