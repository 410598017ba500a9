"""Residuals of equations at points, with their derivatives by the values and derivatives of the network."""

from __future__ import annotations

from collections.abc import Sequence

import ufl

from vpinn.forms import Graph, Jet, Node, build, derivatives
from vpinn.problem import Problem
from vpinn.trial.trial import Trial

Slopes = dict[tuple[int, Jet], Node]
"""Number of a residual, and the jet (a value or derivative of the network) by which it is differentiated → its node."""


def residual_slopes(
    problem: Problem, trial: Trial, residuals: Sequence[ufl.core.expr.Expr]
) -> tuple[Graph, list[Node], Slopes]:
    """Return the graph of scalar residuals, their nodes, and the nodes of their derivatives that are not zero."""
    known = {u.function: trial.unknowns[u.name] for u in problem.unknowns}
    graph = Graph(frozenset({trial.function.count()}))
    nodes = [build(graph, residual, known) for residual in residuals]
    jets = [slot for slot in graph.slots(nodes) if isinstance(slot, Jet) and slot.function == trial.function.count()]
    inputs = [graph.slot(jet) for jet in jets]
    slopes = {
        (which, jet): slope
        for which, node in enumerate(nodes)
        for jet, slope in zip(jets, derivatives(graph, node, inputs), strict=True)
        if not (graph.is_number(slope) and graph.value(slope) == 0.0)
    }
    return graph, nodes, slopes
