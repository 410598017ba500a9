"""Solutions over space and time at once: what a steady strategy found, as a solution of the problem in time."""

from __future__ import annotations

import dataclasses
import math

from vpinn.domain import Inside
from vpinn.march import MarchedSolution
from vpinn.metrics import Metrics
from vpinn.problem import Case
from vpinn.solution import Solution
from vpinn.solution_in_time import SpaceTimeSolution

DEGREE, COUNT = 12, 4096
"""Degree of the rule, or number of points where there are no cells, for errors at the last instant."""


def in_time(problem: Case, found: Solution) -> Solution:
    """Return what was found as a solution of the problem, which is one in time where the problem is."""
    if problem.clock is None or isinstance(found, MarchedSolution):
        return found
    return SpaceTimeSolution.of(problem, found)


def with_final_errors(problem: Case, found: Solution) -> Solution:
    """Return a solution with its errors at the last instant (``relative_l2_final``), where the exact one is known."""
    solution = in_time(problem, found)
    if not isinstance(solution, SpaceTimeSolution) or not problem.exact:
        return found
    rule = Inside(problem.domain).points(DEGREE, COUNT)
    points = rule.take(range(rule.size))
    last = solution.snapshot(solution.times[-1])
    values, truths = last.at(points), last.exact(points)
    errors = {name: dict(known) for name, known in found.errors.items()}
    for name, truth in truths.items():
        squares = ((part.reshape(len(points.w), -1) ** 2).sum(axis=1) for part in (values[name] - truth, truth))
        gap, size = (math.sqrt(float(points.w @ one)) for one in squares)
        errors.setdefault(name, {})["relative_l2_final"] = gap / (size or 1.0)
    return dataclasses.replace(found, metrics=Metrics.of(found.metrics).judged(errors=errors))
