"""Residuals of equations at points, with their derivatives by the values and derivatives of the network."""

from __future__ import annotations

from collections.abc import Sequence

import ufl

from vpinn.forms import Graph, Jet, Node, build, jet_slopes
from vpinn.problem import Problem
from vpinn.trial.trial import Trial

Slopes = dict[tuple[int, Jet], Node]
"""Number of a residual, and the jet (a value or derivative of the network) by which it is differentiated → its node."""


def residual_slopes(problem: Problem, trial: Trial, residuals: Sequence[ufl.core.expr.Expr]) -> tuple[Graph, list[Node], Slopes]:
    """Return the graph of scalar residuals, their nodes, and the nodes of their derivatives that are not zero."""
    known = {u.function: trial.unknowns[u.name] for u in problem.unknowns}
    graph = Graph(frozenset({trial.function.count()}))
    nodes = [build(graph, residual, known) for residual in residuals]
    return graph, nodes, jet_slopes(graph, nodes, (trial.function.count(),))
