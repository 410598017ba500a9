"""The principal part of a form at points: the coefficients of its highest derivatives, linearised at zero unknowns."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vpinn.domain import Inside, Points
from vpinn.errors import InputError
from vpinn.forms import Background, Graph, Jet, Node, build, compile_tape, components, derivatives, integrals, split, tag
from vpinn.placement import host
from vpinn.problem import Problem

Array = NDArray[np.float64]
Place = tuple[int, int, int, int]
"""Indices i, a, k, b of an entry of A; see ``principal_part``."""


def principal_part(problem: Problem, points: Points) -> Array | None:
    """Return the coefficients A of the principal part ∫ A[i, a, k, b] ∂_b u_k ∂_a v_i at points.

    Strong equations −A[i, a, k, b] ∂_a ∂_b u_k + … = 0 determine only the part of A that is symmetric in a and b, returned then.

    Args:
        problem: the problem.
        points: points to evaluate at.

    Returns:
        A [points, n, d, n, d] for the n components of all unknowns in order; None if a weak form or energy has second
        derivatives, if a value is not finite, or if there are not as many strong equations as components.
    """
    try:
        entries = (_of_equations if problem.formulation.pointwise else _entries)(problem, graph := Graph())
        tape = compile_tape(graph, list(entries.values()))
        values = tape.moving(tape.fixed(Background(problem.domain).values(tape.fixed_slots, points)))
    except InputError:
        return None
    n, d = sum(u.components for u in problem.unknowns), problem.domain.dimension
    result = np.zeros((len(points), n, d, n, d))
    for place, value in zip(entries, values, strict=True):
        result[:, *place] = host(value) if isinstance(value, Tensor) else value
    return result if np.isfinite(result).all() else None


def _entries(problem: Problem, graph: Graph) -> dict[Place, Node]:
    """Return the nonzero entries [i, a, k, b] of A for a weak form or an energy.

    Raises:
        InputError: the form has second derivatives, or no value at zero unknowns.
    """
    first = _offsets(problem)
    found: dict[Place, list[Node]] = {}
    for part in integrals(problem.variation):
        node = build(graph, part.integrand)
        jets = [slot for slot in graph.slots([node]) if isinstance(slot, Jet)]
        if part.region is not Inside:
            continue
        if any(len(jet.derivative) > 1 for jet in jets):
            raise InputError("the form takes second derivatives")
        mark = [graph.slot(tag(problem.tags[i], Inside)) for i in part.tags]
        unknowns = [jet for jet in jets if jet.function >= 0]
        slopes = [jet for jet in unknowns if jet.derivative]
        leaves = [graph.slot(jet) for jet in slopes]
        for test, flux in split(graph, node).items():
            if not test.derivative:
                continue
            zeroed = graph.substitute(derivatives(graph, flux, leaves), dict.fromkeys(unknowns, 0.0))
            for jet, value in zip(slopes, zeroed, strict=True):
                i, k = (first[which.function] + which.component for which in (test, jet))
                place = (i, test.derivative[0], k, jet.derivative[0])
                found.setdefault(place, []).append(graph.multiply([*mark, value]))
    return {place: graph.add(nodes) for place, nodes in found.items()}


def _of_equations(problem: Problem, graph: Graph) -> dict[Place, Node]:
    """Return the nonzero entries [i, a, k, b] of A for strong equations.

    Raises:
        InputError: there are not as many equations as components, or one has no value at zero unknowns.
    """
    first, found = _offsets(problem), dict[Place, Node]()
    equations = [build(graph, part) for equation in problem.formulation.equations for part in components(equation)]
    if len(equations) != sum(u.components for u in problem.unknowns):
        raise InputError("there is not one equation for each component")
    for i, node in enumerate(equations):
        jets = [slot for slot in graph.slots([node]) if isinstance(slot, Jet)]
        highest = [jet for jet in jets if len(jet.derivative) == 2]
        slopes = derivatives(graph, node, [graph.slot(jet) for jet in highest])
        for jet, value in zip(highest, graph.substitute(slopes, dict.fromkeys(jets, 0.0)), strict=True):
            (a, b), k = jet.derivative, first[jet.function] + jet.component
            share = graph.multiply([graph.number(-1.0 if a == b else -0.5), value])
            found |= {(i, a, k, b): share, (i, b, k, a): share}
    return found


def _offsets(problem: Problem) -> dict[int, int]:
    """Return the number of the first component of every unknown and test function, by their key ``Jet.function``."""
    first = itertools.accumulate((u.components for u in problem.unknowns), initial=0)
    return {
        function: at
        for unknown, at in zip(problem.unknowns, first, strict=False)
        for function in (unknown.function.count(), -1 - (unknown.test.part() or 0))
    }
