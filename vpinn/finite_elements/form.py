"""Weak form → what is integrated: coefficients of the test functions as tapes over the unknowns' jets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from ufl.core.expr import Expr

from vpinn.domain import CellPoints, FacetPoints, Mesh, PlacedPoints, carried_points
from vpinn.errors import InputError
from vpinn.forms import Graph, Integral, Jet, Node, Tape, build, compile_tapes, derivatives, integrals, split
from vpinn.objective.statement import Integrands
from vpinn.problem import Load, Problem

Key: TypeAlias = tuple[int, int]
"""(component, place): a component of all unknowns together, and 0 for its value or 1 + i for its derivative by x_i."""


@dataclass(frozen=True)
class Integrand:
    """F(u; v) = Σ coefficient · (v or ∂v/∂x_i) over one measure.

    Attributes:
        facet: True for ds.
        carriers: the point, or edges, that it is taken at instead, see ``carried_points``; None of an integral over dx or ds.
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
    carriers: NDArray[np.float64] | None = None

    def points(self, mesh: Mesh, degree: int) -> CellPoints | FacetPoints | PlacedPoints:
        """Return the points of a Gauss rule of a degree on a mesh, or those that are named."""
        if self.carriers is not None:
            return carried_points(mesh, self.carriers, degree)
        return FacetPoints(mesh, mesh.facets(self.tags), degree) if self.facet else CellPoints(mesh, degree)

    def inputs(self, tape: Tape) -> list[Key]:
        """Return what of the unknowns one of the tapes takes."""
        return [key_of(slot, self.first) for slot in tape.moving_slots if isinstance(slot, Jet)]


def integrands(problem: Problem) -> tuple[Integrand, ...]:
    """Return the weak form of a problem over dx, over ds and at points; an energy's is its first variation.

    Raises:
        InputError: the form takes second derivatives, which continuous elements lack.
    """
    counts = {u.function.count(): at for u, at in zip(problem.unknowns, offsets(problem), strict=False)}
    unknowns = {u.name: u.function for u in problem.unknowns}
    loads = [(load.carriers, False, terms_at(problem, load)) for load in problem.loads]
    measures = [(None, False, None), (None, True, None), *loads]
    found = []
    for carriers, facet, parts in measures:
        side = Integrands(Graph(frozenset(counts)), facet)
        if nodes := coefficients(problem, unknowns, side, parts):
            found.append(_integrand(side, nodes, counts, carriers))
    return tuple(found)


def terms_at(problem: Problem, load: Load) -> tuple[Integral, ...]:
    """Return the terms of F(u; v) of a load, as integrals whose integrands are taken there."""
    return integrals(load.formulation.variation(problem.unknowns, problem.symbols))


def coefficients(
    problem: Problem, unknowns: Mapping[str, Expr], side: Integrands, parts: Sequence[Integral] | None = None
) -> dict[Jet, Node]:
    """Return the coefficient of every test function's jet in F(u; v) on one measure.

    Args:
        problem: of any formulation; F is its variation.
        unknowns: what to put for the unknowns, by name.
        side: graph of the measure; the tags that integrals live on are noted in it.
        parts: integrals of F; default those of the form as it stands.

    Returns:
        Jet(-1, component counted through all unknowns, derivative) → node.
    """
    replaced = {u.function: unknowns[u.name] for u in problem.unknowns}
    first = {-1 - (u.test.part() or 0): at for u, at in zip(problem.unknowns, offsets(problem), strict=False)}
    found: dict[Jet, list[Node]] = {}
    for part in integrals(problem.variation) if parts is None else parts:
        if part.facet == side.facet:
            names = tuple(problem.tags[i] for i in part.tags)
            for jet, node in split(side.graph, build(side.graph, part.integrand, replaced)).items():
                place = Jet(-1, first[jet.function] + jet.component, jet.derivative)
                found.setdefault(place, []).append(side.masked(node, names))
    return {jet: side.graph.add(nodes) for jet, nodes in found.items()}


def linearised(graph: Graph, nodes: Mapping[Jet, Node], counts: Mapping[int, int]) -> dict[tuple[Key, Key], Node]:
    """Return the derivatives of coefficients by the jets of some functions, those that do not vanish.

    Args:
        graph: of the nodes.
        nodes: test jet → coefficient.
        counts: UFL count of a function → its first component.

    Raises:
        InputError: a jet is of second order.
    """
    jets = [slot for slot in graph.slots(nodes.values()) if isinstance(slot, Jet) and slot.function in counts]
    trials = [key_of(jet, counts) for jet in jets]
    return {
        (key_of(test), trial): slope
        for test, node in nodes.items()
        for trial, slope in zip(trials, derivatives(graph, node, [graph.slot(jet) for jet in jets]), strict=True)
        if not (graph.is_number(slope) and graph.value(slope) == 0.0)
    }


def _integrand(
    side: Integrands, nodes: Mapping[Jet, Node], counts: Mapping[int, int], carriers: NDArray[np.float64] | None
) -> Integrand:
    graph = side.graph
    slopes = linearised(graph, nodes, counts)
    residual, both = compile_tapes(graph, [[*nodes.values()], [*nodes.values(), *slopes.values()]])
    tags = tuple(sorted(side.tags)) if side.facet else ("all",)
    linear = all(graph.static[slope] for slope in slopes.values())
    return Integrand(side.facet, tags, residual, both, tuple(map(key_of, nodes)), tuple(slopes), linear, counts, carriers)


def offsets(problem: Problem) -> list[int]:
    """Return the number of each unknown's first component, and how many components there are at the end."""
    return [0, *map(int, np.cumsum([u.components for u in problem.unknowns]))]


def key_of(jet: Jet, first: Mapping[int, int] = MappingProxyType({})) -> Key:
    """Return component and place of a jet; ``first`` has the first component of its function, 0 by default.

    Raises:
        InputError: it is of second order.
    """
    if len(jet.derivative) > 1:
        raise InputError(
            "finite elements that are continuous have no second derivatives, which this form takes; "
            "leave out reference.fem, or split the equation into several of lower order"
        )
    return first.get(jet.function, 0) + jet.component, 1 + jet.derivative[0] if jet.derivative else 0
