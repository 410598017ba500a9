"""Compute the flux B(u) of a form F(u; v) = ∫ a·v + B·∇v, in whose norm errors are measured.

For −∇·κ∇u the flux is κ∇u, for elasticity the stress. If the form has none (a strong form, a projection), ∇u takes its place.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np
import ufl

from vpinn.analysis.tangent import Unknowns
from vpinn.domain import Inside
from vpinn.errors import InputError
from vpinn.finite_elements import coefficients
from vpinn.forms import Graph, Node, build, compile_tape, components
from vpinn.objective import bent, weakened
from vpinn.objective.integrands import Integrands
from vpinn.problem import Problem, Stated
from vpinn.problem.operators import gradient
from vpinn.trial import Evaluator, Trial


def measured(problem: Stated) -> Stated:
    """Return the problem in the form whose flux is the measure of errors.

    Equations become a weak form if they can be written as one. A form with second derivatives becomes equations.
    """
    with contextlib.suppress(InputError):  # a plate with free edges stays as it is
        problem = bent(problem)
    return weakened(problem)


def flux_gap(
    problem: Problem, trial: Trial, one: Unknowns, other: Unknowns, more: Sequence[ufl.core.expr.Expr] = ()
) -> Evaluator:
    """Return an evaluator of the densities |B(one) − B(other)|² and |B(one)|², and of ``more``.

    Args:
        problem: problem in any formulation.
        trial: trial space whose network and known functions occur in the expressions.
        one: unknown → expression for it.
        other: unknown → expression for it.
        more: further scalar expressions of the network.
    """
    graph = Graph(frozenset({trial.function.count()}))
    found = [_flux(problem, graph, unknowns) for unknowns in (one, other)]
    minus, zero = graph.number(-1.0), graph.number(0.0)
    gaps = [
        graph.add([found[0].get(key, zero), graph.multiply([minus, found[1].get(key, zero)])]) for key in {**found[0], **found[1]}
    ]
    squares = [graph.add(graph.multiply([node, node]) for node in nodes) for nodes in (gaps, found[0].values())]
    if (weight := _weight(problem)) is not None:
        squares = [graph.multiply([build(graph, weight), node]) for node in squares]
    return Evaluator(trial, compile_tape(graph, [*squares, *(build(graph, expression) for expression in more)]))


def _weight(problem: Problem) -> ufl.core.expr.Expr | None:
    """Return (r/L)^2α, with the distance r to the nearest load at a point and half the size L of the domain; None without one.

    In two and more dimensions a load at a point has a flux of infinite norm; that of r^α times the flux is finite for
    d/2 − 1 < α < d/2, and tells errors away from the point (Agnelli, Garau & Morin 2014, ESAIM M2AN 48, 1557–1581).
    """
    d = problem.domain.dimension
    places = [load.carriers[0, 0] for load in problem.loads if load.carriers is not None and load.carriers.shape[1] == 1]
    if not places or d == 1:
        return None
    lower, upper = problem.domain.bounds
    size, x = float(np.linalg.norm(upper - lower)) / 2.0, problem.symbols.x
    squares = [sum((x[i] - float(place[i])) ** 2 for i in range(d)) / size**2 for place in places]
    nearest: ufl.core.expr.Expr = reduce(ufl.min_value, squares)
    weight: ufl.core.expr.Expr = nearest ** ((d - 1) / 2)
    return weight


def _flux(problem: Problem, graph: Graph, unknowns: Unknowns) -> Mapping[object, Node]:
    cells = coefficients(problem, unknowns, Integrands(graph, Inside))
    flux: dict[object, Node] = {jet: node for jet, node in cells.items() if jet.derivative}
    if flux:
        return flux
    slopes = [gradient(u.function, problem.domain.dimension) for u in problem.unknowns]
    parts: list[ufl.core.expr.Expr] = [part for slope in slopes for part in components(slope)]
    known = {u.function: unknowns[u.name] for u in problem.unknowns}
    return dict(enumerate(build(graph, part, known) for part in parts))
