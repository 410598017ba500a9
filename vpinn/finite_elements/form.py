"""Compile a weak form into the coefficients of its test functions, and their derivatives by the unknowns, as tapes.

A tape computes numbers at points from values and derivatives (jets) of the unknowns there. ``integrands`` compiles a problem.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from ufl.core.expr import Expr

from vpinn.domain import REGIONS, Inside, Mesh, MeshPoints, PlacedPoints, Region, carried_points
from vpinn.errors import InputError
from vpinn.forms import Graph, Integral, Jet, Node, Tape, build, compile_tapes, derivatives, integrals, split
from vpinn.objective.integrands import Integrands
from vpinn.problem import Load, Problem

Key: TypeAlias = tuple[int, int]
"""(component, place): number of a component, counted through all unknowns; place 0 for its value, 1 + i for ∂/∂x_i."""


@dataclass(frozen=True)
class Integrand:
    """The integrals of F(u; v) = Σ ∫ coefficient · (v or ∂v/∂x_i) over the domain, or those over the boundary.

    Attributes:
        region: what it runs over.
        carriers: the point, or edges, that it is taken at instead, see ``carried_points``; None of an integral over the region.
        tags: parts that some term lives on, "all" among them where one lives everywhere.
        residual: its outputs are one coefficient per entry of ``tests``.
        linearised: its outputs are those, then one derivative per entry of ``slopes``; takes the same fixed values.
        tests: for every coefficient, the value or derivative of a test function that it multiplies.
        slopes: for every derivative of a coefficient, the test function's value or derivative, and the unknown's.
        linear: whether all derivatives are independent of the unknowns.
        first: UFL count of an unknown → number of its first component.
    """

    region: type[Region]
    tags: tuple[str, ...]
    residual: Tape
    linearised: Tape
    tests: tuple[Key, ...]
    slopes: tuple[tuple[Key, Key], ...]
    linear: bool
    first: Mapping[int, int]
    carriers: NDArray[np.float64] | None = None

    def points(self, mesh: Mesh, degree: int) -> MeshPoints | PlacedPoints:
        """Return the points of a Gauss rule of a degree on a mesh, or those that are named."""
        if self.carriers is not None:
            return carried_points(mesh, self.carriers, degree)
        return self.region.of(mesh, self.tags).on_cells(degree)

    def inputs(self, tape: Tape) -> list[Key]:
        """Return the values and derivatives of unknowns that a tape takes as inputs, in order."""
        return [key_of(slot, self.first) for slot in tape.moving_slots if isinstance(slot, Jet)]


def integrands(problem: Problem) -> tuple[Integrand, ...]:
    """Return the weak form of a problem over every kind of region and at loads; an energy's is its first variation.

    Raises:
        InputError: the form has second derivatives, which continuous elements lack.
    """
    counts = {u.function.count(): at for u, at in zip(problem.unknowns, offsets(problem), strict=False)}
    unknowns = {u.name: u.function for u in problem.unknowns}
    measures: list[tuple[type[Region], Load | None]] = [(region, None) for region in REGIONS]
    measures += [(Inside, load) for load in problem.loads]
    found = []
    for region, load in measures:
        side = Integrands(Graph(frozenset(counts)), region)
        if nodes := coefficients(problem, unknowns, side, None if load is None else terms_at(problem, load)):
            found.append(compiled(side, nodes, counts, None if load is None else load.carriers))
    return tuple(found)


def terms_at(problem: Problem, load: Load) -> tuple[Integral, ...]:
    """Return the terms of F(u; v) of a load, as integrals whose integrands are taken there."""
    return integrals(load.formulation.variation(problem.unknowns, problem.symbols))


def coefficients(
    problem: Problem, unknowns: Mapping[str, Expr], side: Integrands, parts: Sequence[Integral] | None = None
) -> dict[Jet, Node]:
    """Return the coefficients of values and derivatives of the test functions in F(u; v), over the domain or the boundary.

    Args:
        problem: problem in any formulation; F is its weak form or first variation.
        unknowns: name → expression to put for the unknown.
        side: graph of the integrals over the domain, or over the boundary; tags of parts of it are recorded there.
        parts: integrals of F; None: those of the problem.

    Returns:
        Jet(-1, component counted through all unknowns, derivative) of the test function → node of the coefficient.
    """
    replaced = {u.function: unknowns[u.name] for u in problem.unknowns}
    first = {-1 - (u.test.part() or 0): at for u, at in zip(problem.unknowns, offsets(problem), strict=False)}
    found: dict[Jet, list[Node]] = {}
    for part in integrals(problem.variation) if parts is None else parts:
        if part.region is side.region:
            names = tuple(problem.tags[i] for i in part.tags)
            for jet, node in split(side.graph, build(side.graph, part.integrand, replaced)).items():
                place = Jet(-1, first[jet.function] + jet.component, jet.derivative)
                found.setdefault(place, []).append(side.masked(node, names))
    return {jet: side.graph.add(nodes) for jet, nodes in found.items()}


def linearised(graph: Graph, nodes: Mapping[Jet, Node], counts: Mapping[int, int]) -> dict[tuple[Key, Key], Node]:
    """Return the derivatives of coefficients by values and derivatives of some functions, without those that are zero.

    Args:
        graph: graph of the coefficients.
        nodes: value or derivative of a test function → coefficient.
        counts: UFL count of a function → number of its first component.

    Raises:
        InputError: there are second derivatives.
    """
    jets = [slot for slot in graph.slots(nodes.values()) if isinstance(slot, Jet) and slot.function in counts]
    trials = [key_of(jet, counts) for jet in jets]
    return {
        (key_of(test), trial): slope
        for test, node in nodes.items()
        for trial, slope in zip(trials, derivatives(graph, node, [graph.slot(jet) for jet in jets]), strict=True)
        if not (graph.is_number(slope) and graph.value(slope) == 0.0)
    }


def compiled(
    side: Integrands, nodes: Mapping[Jet, Node], counts: Mapping[int, int], carriers: NDArray[np.float64] | None
) -> Integrand:
    """Compile coefficients of test functions, and their derivatives by the unknowns."""
    graph = side.graph
    slopes = linearised(graph, nodes, counts)
    residual, both = compile_tapes(graph, [[*nodes.values()], [*nodes.values(), *slopes.values()]])
    linear = all(graph.static[slope] for slope in slopes.values())
    tags, tests = tuple(sorted(side.tags)), tuple(map(key_of, nodes))
    return Integrand(side.region, tags, residual, both, tests, tuple(slopes), linear, counts, carriers)


def offsets(problem: Problem) -> list[int]:
    """Return the number of each unknown's first component, and at the end the number of all components."""
    return [0, *map(int, np.cumsum([u.components for u in problem.unknowns]))]


def key_of(jet: Jet, first: Mapping[int, int] = MappingProxyType({})) -> Key:
    """Return component and place of a value or derivative (jet).

    Args:
        jet: the value or derivative.
        first: UFL count of its function → number of the function's first component; 0 for others.

    Raises:
        InputError: it is a second derivative.
    """
    if len(jet.derivative) > 1:
        raise InputError(
            "this form has second derivatives, which continuous finite elements lack; "
            "leave out reference.fem, or split the equation into several of lower order"
        )
    return first.get(jet.function, 0) + jet.component, 1 + jet.derivative[0] if jet.derivative else 0
