"""Finite element solutions as trial spaces, so that assessment and output treat them like trained networks.

The trial space is u_h plus a network of one neuron whose parameters are zero. Start with `elements_trial`.
"""

from __future__ import annotations

import numpy as np
import ufl
from numpy.typing import NDArray

from vpinn.domain import BoundaryPart, LagrangeSpace
from vpinn.forms import Background, Field, components
from vpinn.problem import Problem
from vpinn.trial.enrichment import Enriched
from vpinn.trial.field import Across, MeshField
from vpinn.trial.imposed import Imposed
from vpinn.trial.trial import Trial

NODES = "at nodes"
"""`Imposed.how` of conditions that hold at the nodes of the elements; the deviation between nodes is part of the error."""


def elements_trial(problem: Problem, space: LagrangeSpace, values: NDArray[np.float64]) -> Trial:
    """Return the trial space u_h + network for a solution u_h; the network has one neuron and vanishes for zero parameters.

    Args:
        problem: the problem, on the mesh of ``space``.
        space: finite element space of each component of u_h.
        values: coefficients of u_h, all components in order [components, space.size].
    """
    lower, upper = problem.domain.bounds
    layers = (problem.domain.dimension, 1, len(values))
    network = Enriched(layers, "tanh", tuple(map(float, lower)), tuple(map(float, upper)), 0)
    function = problem.symbols.coefficient((network.outputs,))
    fields = tuple(MeshField(space, row) for row in values)
    symbols = [problem.symbols.coefficient() for _ in fields]
    parts = [raw + symbol for raw, symbol in zip(components(function), symbols, strict=True)]
    unknowns, across = {}, {}
    opposite = {symbol: problem.symbols.coefficient() for symbol in symbols} if problem.domain.with_cells().joints else {}
    imposed = list[Imposed]()
    first = 0
    for unknown in problem.unknowns:
        own = parts[first : first + unknown.components]
        unknowns[unknown.name] = ufl.as_vector(own) if unknown.shape else own[0]
        if opposite:
            across[unknown.name] = ufl.replace(unknowns[unknown.name], opposite)
        first += unknown.components
        for condition in problem.boundary:
            if condition.unknown == unknown.name and condition.value is not None:
                which = range(unknown.components) if condition.component is None else [condition.component]
                given = components(condition.value)
                for component in which:
                    value = given[component if condition.component is None else 0]
                    imposed.append(Imposed(condition, component, value, NODES, f"elements of degree {space.degree}"))
    known: dict[int, Field] = dict(zip((s.count() for s in symbols), fields, strict=True))
    known |= {opposite[symbol].count(): Across(field) for symbol, field in zip(symbols, fields, strict=True) if opposite}
    return Trial(network, function, unknowns, Background(problem.domain, known), tuple(imposed), elements=fields, across=across)


def conditions_alone(problem: Problem, trial: Trial) -> Trial:
    """Return the trial space for the lift alone: elements with the imposed boundary values and zero at all other nodes.

    Args:
        problem: the problem, on the mesh of the elements.
        trial: trial space that ``elements_trial`` returned.
    """
    space, mesh = trial.space, problem.domain.with_cells()
    assert space is not None
    values, first = np.zeros((len(trial.elements), space.size)), 0
    for unknown in problem.unknowns:
        for imposed in trial.imposed:
            if imposed.condition.unknown == unknown.name:
                row, held = first + imposed.component, BoundaryPart.of(mesh, imposed.condition.on).functions(space)
                values[row, held] = trial.elements[row].values[held]
        first += unknown.components
    return elements_trial(problem, space, values)
