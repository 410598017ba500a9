"""Weak form → what is integrated: coefficients of the test functions as tapes over the unknowns' jets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from vpinn.errors import InputError
from vpinn.forms import Graph, Jet, Tape, build, compile_tapes, derivatives, integrals, split
from vpinn.objective import variation
from vpinn.objective.statement import Integrands
from vpinn.problem import Problem

Key: TypeAlias = tuple[int, int]
"""(component, place): a component of all unknowns together, and 0 for its value or 1 + i for its derivative by x_i."""


@dataclass(frozen=True)
class Integrand:
    """F(u; v) = Σ coefficient · (v or ∂v/∂x_i) over one measure.

    Attributes:
        facet: True for ds.
        tags: boundary parts that some term lives on; ("all",) for dx.
        residual: its outputs are one coefficient per entry of ``tests``.
        linearised: its outputs are those, then one derivative per entry of ``slopes``; takes the same fixed values.
        tests: what of the test functions each coefficient multiplies.
        slopes: (what of the test functions, what of the unknowns) each derivative belongs to.
        linear: whether no derivative depends on the unknowns.
        first: UFL count of an unknown → its first component.
    """

    facet: bool
    tags: tuple[str, ...]
    residual: Tape
    linearised: Tape
    tests: tuple[Key, ...]
    slopes: tuple[tuple[Key, Key], ...]
    linear: bool
    first: Mapping[int, int]

    def inputs(self, tape: Tape) -> list[Key]:
        """Return what of the unknowns one of the tapes takes."""
        return [_key(slot, self.first) for slot in tape.moving_slots if isinstance(slot, Jet)]


def integrands(problem: Problem) -> tuple[Integrand, ...]:
    """Return the weak form of a problem over dx and ds; an energy's is its first variation.

    Raises:
        InputError: the form takes second derivatives, which continuous elements lack.
    """
    counts = {u.function.count(): at for u, at in zip(problem.unknowns, offsets(problem), strict=False)}
    parts = {-1 - (u.test.part() or 0): at for u, at in zip(problem.unknowns, offsets(problem), strict=False)}
    sides = [Integrands(Graph(frozenset(counts)), facet) for facet in (False, True)]
    for part in integrals(variation(problem)):
        side = sides[part.facet]
        side.residual.append(side.masked(build(side.graph, part.integrand), tuple(problem.tags[i] for i in part.tags)))
    return tuple(_integrand(side, counts, parts) for side in sides if side.residual)


def _integrand(side: Integrands, counts: Mapping[int, int], parts: Mapping[int, int]) -> Integrand:
    graph = side.graph
    coefficients = split(graph, graph.add(side.residual))
    jets = [slot for slot in graph.slots(coefficients.values()) if isinstance(slot, Jet) and slot.function in counts]
    tests, trials = [_key(jet, parts) for jet in coefficients], [_key(jet, counts) for jet in jets]
    slopes = {
        (test, trial): slope
        for test, node in zip(tests, coefficients.values(), strict=True)
        for trial, slope in zip(trials, derivatives(graph, node, [graph.slot(jet) for jet in jets]), strict=True)
        if not (graph.is_number(slope) and graph.value(slope) == 0.0)
    }
    residual, linearised = compile_tapes(graph, [[*coefficients.values()], [*coefficients.values(), *slopes.values()]])
    tags = tuple(sorted(side.tags)) if side.facet else ("all",)
    linear = all(graph.static[slope] for slope in slopes.values())
    return Integrand(side.facet, tags, residual, linearised, tuple(tests), tuple(slopes), linear, counts)


def offsets(problem: Problem) -> list[int]:
    """Return the number of each unknown's first component, and how many components there are at the end."""
    return [0, *map(int, np.cumsum([u.components for u in problem.unknowns]))]


def _key(jet: Jet, first: Mapping[int, int]) -> Key:
    if len(jet.derivative) > 1:
        raise InputError(
            "finite elements that are continuous have no second derivatives, which this form takes; "
            "leave out reference.fem, or split the equation into several of lower order"
        )
    return first[jet.function] + jet.component, 1 + jet.derivative[0] if jet.derivative else 0
