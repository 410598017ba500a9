"""Compile a weak form into the coefficients of its test functions, and their derivatives by the unknowns, as tapes.

A tape computes numbers at points from values and derivatives (jets) of the unknowns there. ``integrands`` compiles a problem.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from ufl.core.expr import Expr

from vpinn.domain import REGIONS, FacingPoints, Inside, Mesh, MeshPoints, PlacedPoints, Region
from vpinn.errors import InputError
from vpinn.forms import Graph, Integral, Jet, Node, Tape, build, compile_tapes, integrals, jet_slopes, split
from vpinn.objective.integrands import Integrands
from vpinn.problem import Load, Problem

Key: TypeAlias = tuple[int, int]
"""(component, place): number of a component, counted through all unknowns; place 0 for its value, 1 + i for ∂/∂x_i.

On the far side of an interface the places go on: 1 + d for the value there, 2 + d + i for the derivatives."""


@dataclass(frozen=True)
class Integrand:
    """The integrals of F(u; v) = Σ ∫ coefficient · (v or ∂v/∂x_i) over the domain, or those over the boundary.

    Attributes:
        region: what it runs over.
        tags: parts that some term lives on, "all" among them where one lives everywhere.
        residual: its outputs are one coefficient per entry of ``tests``.
        linearised: its outputs are those, then one derivative per entry of ``slopes``; takes the same fixed values.
        tests: for every coefficient, the value or derivative of a test function that it multiplies.
        slopes: for every derivative of a coefficient, the test function's value or derivative, and the unknown's.
        linear: whether all derivatives are independent of the unknowns.
        first: UFL count of an unknown → its first component and place: d + 1 of its value on the far side of an interface.
        load: what it is taken at instead, a point, edges or an interface; None of an integral over the region.
    """

    region: type[Region]
    tags: tuple[str, ...]
    residual: Tape
    linearised: Tape
    tests: tuple[Key, ...]
    slopes: tuple[tuple[Key, Key], ...]
    linear: bool
    first: Mapping[int, Key]
    load: Load | None = None

    def points(self, mesh: Mesh, degree: int) -> MeshPoints | PlacedPoints | FacingPoints:
        """Return the points of a Gauss rule of a degree on a mesh, or those that are named."""
        if self.load is not None:
            return self.load.points(mesh, degree)
        return self.region.of(mesh, self.tags).on_cells(degree)

    def inputs(self, tape: Tape) -> list[Key]:
        """Return the values and derivatives of unknowns that a tape takes as inputs, in order."""
        return [key_of(slot, self.first) for slot in tape.moving_slots if isinstance(slot, Jet)]


def integrands(problem: Problem) -> tuple[Integrand, ...]:
    """Return the weak form of a problem over every kind of region and at loads; an energy's is its first variation.

    Raises:
        InputError: the form has second derivatives, which continuous elements lack.
    """
    counts = numbered(problem)
    unknowns = {u.name: u.function for u in problem.unknowns}
    measures: list[tuple[type[Region], Load | None]] = [(region, None) for region in REGIONS]
    measures += [(Inside, load) for load in problem.loads]
    found = []
    for region, load in measures:
        side = Integrands(Graph(frozenset(counts)), region)
        if nodes := coefficients(problem, unknowns, side, None if load is None else terms_at(problem, load)):
            found.append(compiled(side, nodes, counts, problem.symbols.dimension, load))
    return tuple(found)


def numbered(problem: Problem) -> dict[int, Key]:
    """Return UFL count of an unknown, or of its value on the far side of an interface → its first component and place."""
    counts: dict[int, Key] = {}
    for unknown, at in zip(problem.unknowns, offsets(problem), strict=False):
        counts[unknown.function.count()] = at, 0
        if unknown.far is not None:
            counts[unknown.far.count()] = at, 1 + problem.symbols.dimension
    return counts


def terms_at(problem: Problem, load: Load) -> tuple[Integral, ...]:
    """Return the terms of F(u; v) of a load, as integrals whose integrands are taken there."""
    return integrals(load.formulation.variation(problem.unknowns, problem.symbols))


def coefficients(
    problem: Problem,
    unknowns: Mapping[str, Expr],
    side: Integrands,
    parts: Sequence[Integral] | None = None,
    across: Mapping[str, Expr] | None = None,
) -> dict[Jet, Node]:
    """Return the coefficients of values and derivatives of the test functions in F(u; v), over the domain or the boundary.

    Args:
        problem: problem in any formulation; F is its weak form or first variation.
        unknowns: name → expression to put for the unknown.
        side: graph of the integrals over the domain, or over the boundary; tags of parts of it are recorded there.
        parts: integrals of F; None: those of the problem.
        across: name → expression to put for the unknown on the far side of interfaces; None: it stays.

    Returns:
        Jet(-1, component counted through all unknowns, derivative) of the test function, with -2 on the far side of interfaces
        → node of the coefficient.
    """
    replaced = {u.function: unknowns[u.name] for u in problem.unknowns}
    replaced |= {u.far: across[u.name] for u in problem.unknowns if u.far is not None and across}
    first = {}
    for unknown, at in zip(problem.unknowns, offsets(problem), strict=False):
        for side_number, test in enumerate((unknown.test, unknown.far_test)):
            if test is not None:
                first[-1 - (test.part() or 0)] = -1 - side_number, at
    found: dict[Jet, list[Node]] = {}
    for part in integrals(problem.variation) if parts is None else parts:
        if part.region is side.region:
            names = tuple(problem.tags[i] for i in part.tags)
            for jet, node in split(side.graph, build(side.graph, part.integrand, replaced)).items():
                number, at = first[jet.function]
                place = Jet(number, at + jet.component, jet.derivative)
                found.setdefault(place, []).append(side.masked(node, names))
    return {jet: side.graph.add(nodes) for jet, nodes in found.items()}


def linearised(graph: Graph, nodes: Mapping[Jet, Node], counts: Mapping[int, Key], d: int) -> dict[tuple[Key, Key], Node]:
    """Return the derivatives of coefficients by values and derivatives of some functions, without those that are zero.

    Args:
        graph: graph of the coefficients.
        nodes: value or derivative of a test function → coefficient.
        counts: UFL count of a function → its first component and place.
        d: number of coordinates.

    Raises:
        InputError: there are second derivatives.
    """
    tests = [key_of(test, _tests(d)) for test in nodes]
    slopes = jet_slopes(graph, nodes.values(), counts)
    return {(tests[number], key_of(jet, counts)): slope for (number, jet), slope in slopes.items()}


def compiled(side: Integrands, nodes: Mapping[Jet, Node], counts: Mapping[int, Key], d: int, load: Load | None) -> Integrand:
    """Compile coefficients of test functions, and their derivatives by the unknowns, in d dimensions."""
    graph = side.graph
    slopes = linearised(graph, nodes, counts, d)
    residual, both = compile_tapes(graph, [[*nodes.values()], [*nodes.values(), *slopes.values()]])
    linear = all(graph.static[slope] for slope in slopes.values())
    tags, tests = tuple(sorted(side.tags)), tests_of(nodes, d)
    return Integrand(side.region, tags, residual, both, tests, tuple(slopes), linear, counts, load)


def offsets(problem: Problem) -> list[int]:
    """Return the number of each unknown's first component, and at the end the number of all components."""
    return [0, *map(int, np.cumsum([u.components for u in problem.unknowns]))]


def tests_of(nodes: Iterable[Jet], d: int) -> tuple[Key, ...]:
    """Return component and place of the test functions of ``coefficients`` in d dimensions."""
    return tuple(key_of(jet, _tests(d)) for jet in nodes)


def _tests(d: int) -> Mapping[int, Key]:
    return {-1: (0, 0), -2: (0, 1 + d)}


def key_of(jet: Jet, first: Mapping[int, Key]) -> Key:
    """Return component and place of a value or derivative (jet).

    Args:
        jet: the value or derivative.
        first: UFL count of its function → the function's first component and place.

    Raises:
        InputError: it is a second derivative.
    """
    if len(jet.derivative) > 1:
        raise InputError(
            "this form has second derivatives, which continuous finite elements lack; "
            "leave out reference.fem, or split the equation into several of lower order"
        )
    component, place = first[jet.function]
    return component + jet.component, place + (1 + jet.derivative[0] if jet.derivative else 0)
