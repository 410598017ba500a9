"""All conditions on one part of the boundary, nothing on another: Cauchy's problem of an elliptic equation, and initial values.

Such data determine the solution, but errors in them grow exponentially with their frequency (Hadamard 1923, Lectures on Cauchy's
problem in linear partial differential equations). In one dimension it is an initial-value problem, which is well posed.
"""

from __future__ import annotations

import numpy as np

from vpinn.domain import Inside
from vpinn.forms import components
from vpinn.objective.variation import is_linear
from vpinn.problem import Problem
from vpinn.trial.principal import principal_part

DEFINITE = 1e-9
"""Smallest eigenvalue of the principal part, relative to the largest, above which the equation counts as elliptic."""
POINTS = 100
"""About the number of points at which it is looked at."""


def cauchy_sides(problem: Problem) -> str:
    """Return in one line where an elliptic equation of one unknown has two conditions and where none; "" unless it has both.

    Args:
        problem: problem on any domain; forms without conditions for the flux, and domains without cells, are not looked at.
    """
    mesh, conditions = problem.domain.mesh, problem.boundary
    scalar = problem.formulation.pointwise and sum(unknown.components for unknown in problem.unknowns) == 1
    if mesh is None or mesh.dimension == 1 or not scalar or problem.periodic or not _elliptic(problem):
        return ""
    counts = np.zeros(len(mesh.boundary), dtype=int)
    for condition in conditions:
        given = [part for part in (condition.value, condition.residual) if part is not None]
        counts[mesh.facets(condition.on)] += sum(len(components(part)) for part in given)
    bare = np.flatnonzero(counts == 0)
    twice = [condition for condition in conditions if (counts[mesh.facets(condition.on)] > 1).any()]
    if not len(bare) or not twice:
        return ""
    place = mesh.nodes[mesh.facet_vertices(bare[len(bare) // 2 :][:1])[0]].mean(axis=0)
    where = ", ".join(f"{axis} = {value:.3g}" for axis, value in zip("xyz", place, strict=False))
    name, sides = problem.unknowns[0].name, ", ".join(twice[0].on)
    return (
        f"Cauchy's problem: value and flux of {name} are given on {sides}, nothing near {where}, so that the answer hangs on "
        "digits nobody knows; give one condition on every side"
    )


def initial_values(problem: Problem) -> str:
    """Return in one line that a nonlinear equation on an interval has all its values at one end, as in time; "" otherwise."""
    mesh = problem.domain.mesh
    if mesh is None or mesh.dimension > 1 or not problem.formulation.pointwise or not problem.boundary or is_linear(problem):
        return ""
    facets = np.concatenate([mesh.facets(condition.on) for condition in problem.boundary])
    if len(np.unique(facets)) > 1:
        return ""
    a, b = mesh.nodes.min(), mesh.nodes.max()
    return (
        "all of them stand at one end, as initial values do, and the run found no solution; write x as time: [domain] with "
        f"cells = 1 and time = [{a:g}, {b:g}], dt(u) for the derivative, and values on initial"
    )


def _elliptic(problem: Problem) -> bool:
    """Return whether the principal part of an equation is definite, with the same sign at all points."""
    found = principal_part(problem, Inside(problem.domain).spread(POINTS))
    if found is None:
        return False
    tensor = found[:, 0, :, 0, :]
    values = np.linalg.eigvalsh(tensor + tensor.transpose(0, 2, 1))
    floor = DEFINITE * np.abs(values).max(axis=1, keepdims=True)
    return bool((values > floor).all() or (values < -floor).all())
