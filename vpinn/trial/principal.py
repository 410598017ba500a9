"""The principal part of a form at points: what multiplies the highest derivatives, linearised at zero unknowns."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vpinn.domain import Points
from vpinn.errors import InputError
from vpinn.forms import Background, Graph, Jet, Node, build, compile_tape, derivatives, integrals, split, tag
from vpinn.problem import Problem

Array = NDArray[np.float64]


def principal_part(problem: Problem, points: Points) -> Array | None:
    """Return A [points, n, d, n, d] of ∫ A[i, a, k, b] ∂_b u_k ∂_a v_i, components of all unknowns in order.

    None for equations, which do not tell their flux, for second derivatives, and where the form has no finite value.
    """
    if problem.formulation == "strong":
        return None
    try:
        entries = _entries(problem, graph := Graph())
        tape = compile_tape(graph, list(entries.values()))
        values = tape.moving(tape.fixed(Background(problem.domain).values(tape.fixed_slots, points)))
    except InputError:
        return None
    n, d = sum(u.components for u in problem.unknowns), problem.domain.dimension
    result = np.zeros((len(points), n, d, n, d))
    for place, value in zip(entries, values, strict=True):
        result[:, *place] = value.numpy() if isinstance(value, Tensor) else value
    return result if np.isfinite(result).all() else None


def _entries(problem: Problem, graph: Graph) -> dict[tuple[int, int, int, int], Node]:
    """Return the entries [i, a, k, b] that are not zero.

    Raises:
        InputError: the form takes second derivatives, or has no value at zero unknowns.
    """
    offsets = itertools.accumulate((u.components for u in problem.unknowns), initial=0)
    first = dict[int, int]()
    for unknown, at in zip(problem.unknowns, offsets, strict=False):
        first |= dict.fromkeys((unknown.function.count(), -1 - (unknown.test.part() or 0)), at)
    found: dict[tuple[int, int, int, int], list[Node]] = {}
    for part in integrals(problem.integrals):
        node = build(graph, part.integrand)
        jets = [slot for slot in graph.slots([node]) if isinstance(slot, Jet)]
        if part.facet:
            continue
        if any(len(jet.derivative) > 1 for jet in jets):
            raise InputError("the form takes second derivatives")
        mark = [graph.slot(tag(problem.tags[i], False)) for i in part.tags]
        unknowns = [jet for jet in jets if jet.function >= 0]
        slopes = [jet for jet in unknowns if jet.derivative]
        leaves = [graph.slot(jet) for jet in slopes]
        weak = problem.formulation == "weak"
        fluxes = split(graph, node) if weak else dict(zip(slopes, derivatives(graph, node, leaves), strict=True))
        for test, flux in fluxes.items():
            if not test.derivative:
                continue
            zeroed = graph.substitute(derivatives(graph, flux, leaves), dict.fromkeys(unknowns, 0.0))
            for jet, value in zip(slopes, zeroed, strict=True):
                i, k = (first[which.function] + which.component for which in (test, jet))
                place = (i, test.derivative[0], k, jet.derivative[0])
                found.setdefault(place, []).append(graph.multiply([*mark, value]))
    return {place: graph.add(nodes) for place, nodes in found.items()}
