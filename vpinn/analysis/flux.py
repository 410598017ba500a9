"""Compute the flux B(u) of a form F(u; v) = ∫ a·v + B·∇v, in whose norm errors are measured.

For −∇·κ∇u the flux is κ∇u, for elasticity the stress. If the form has none (a strong form, a projection), ∇u takes its place.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

import ufl

from vpinn.analysis.tangent import Unknowns
from vpinn.domain import Inside
from vpinn.errors import InputError
from vpinn.finite_elements import coefficients
from vpinn.forms import Graph, Node, build, compile_tape, components
from vpinn.objective import bent, weakened
from vpinn.objective.statement import Integrands
from vpinn.problem import Problem
from vpinn.problem.operators import gradient
from vpinn.trial import Evaluator, Trial


def measured(problem: Problem) -> Problem:
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
    return Evaluator(trial, compile_tape(graph, [*squares, *(build(graph, expression) for expression in more)]))


def _flux(problem: Problem, graph: Graph, unknowns: Unknowns) -> Mapping[object, Node]:
    cells = coefficients(problem, unknowns, Integrands(graph, Inside))
    flux: dict[object, Node] = {jet: node for jet, node in cells.items() if jet.derivative}
    if flux:
        return flux
    slopes = [gradient(unknowns[u.name], problem.domain.dimension) for u in problem.unknowns]
    parts: list[ufl.core.expr.Expr] = [part for slope in slopes for part in components(slope)]
    return dict(enumerate(build(graph, part) for part in parts))
