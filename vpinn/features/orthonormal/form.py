"""Compile the weak form of a problem in time into coefficients of its test functions and their derivatives, as tapes.

The form is F(u, u′, u″; v) = Σ ∫ c · ∂v over dx and ds. The coefficients c depend on the point, on time, and on values,
derivatives and time derivatives (jets) of the unknowns. Sums over quadrature points give the residual for every test function,
and the derivatives of c by the jets give the matrices. A tape computes c, or c and its derivatives, at points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from vpinn.domain import REGIONS, Region
from vpinn.features.orthonormal.in_time import uniform
from vpinn.finite_elements import coefficients
from vpinn.forms import Graph, Jet, Node, Tape, compile_tapes, jet_slopes
from vpinn.objective.integrands import Integrands
from vpinn.problem import Problem

Derivative: TypeAlias = tuple[int, ...]
TestKey: TypeAlias = tuple[int, Derivative]
"""(component, derivative) of a test function; components count through all unknowns."""
TrialKey: TypeAlias = tuple[int, int, Derivative]
"""(order in time, component, derivative) of an unknown."""


@dataclass(frozen=True)
class IntegralInTime:
    """The integrals of a form over the domain, or those over the boundary.

    Attributes:
        region: what it runs over.
        tags: parts that some term lives on, "all" among them where one lives everywhere.
        residual: one coefficient per entry of ``tests``.
        linearised: those, then one derivative per entry of ``slopes``; takes the same fixed values.
        tests: for every coefficient, the value or derivative of a test function that it multiplies.
        slopes: for every derivative of a coefficient, the test function's value or derivative, and the unknown's.
        constant: for every derivative, whether it is independent of time and of the unknowns.
        keys: UFL count of an unknown or of its time derivative → (order in time, number of the first component).
        clock: UFL count of the time variable.
    """

    region: type[Region]
    tags: tuple[str, ...]
    residual: Tape
    linearised: Tape
    tests: tuple[TestKey, ...]
    slopes: tuple[tuple[TestKey, TrialKey], ...]
    constant: tuple[bool, ...]
    keys: Mapping[int, tuple[int, int]]
    clock: int

    def inputs(self, tape: Tape) -> list[TrialKey | None]:
        """Return the inputs of a tape besides its fixed values, in order: jets of unknowns, and None for time."""
        return [self._key(slot) for slot in tape.moving_slots if isinstance(slot, Jet)]

    def _key(self, jet: Jet) -> TrialKey | None:
        if jet.function == self.clock:
            return None
        order, first = self.keys[jet.function]
        return order, first + jet.component, jet.derivative

    @property
    def timed(self) -> bool:
        """Whether time occurs explicitly."""
        return None in self.inputs(self.linearised)

    def trial_jets(self) -> set[Derivative]:
        """Return the derivatives in space of unknowns that occur."""
        return {key[2] for key in self.inputs(self.linearised) if key is not None}

    def test_jets(self) -> set[Derivative]:
        """Return the derivatives of test functions that occur."""
        return {derivative for _, derivative in self.tests}


def integrals_in_time(problem: Problem) -> tuple[IntegralInTime, ...]:
    """Return the integrals of a problem in time over dx and over ds; equations are multiplied by test functions."""
    clock = problem.time
    keys, first = {}, 0
    for unknown in problem.unknowns:
        for order, function in enumerate((unknown.function, *unknown.rates)):
            keys[function.count()] = order, first
        first += unknown.components
    found = []
    for region in REGIONS:
        side = Integrands(Graph(frozenset({*keys, clock.t.count()})), region)
        nodes = coefficients(problem, {u.name: u.function for u in problem.unknowns}, side)
        if nodes:
            settled = dict(zip(nodes, uniform(side.graph, list(nodes.values()), clock), strict=True))
            found.append(_integral(side, settled, keys, clock.t.count()))
    return tuple(found)


def _integral(side: Integrands, nodes: Mapping[Jet, Node], keys: Mapping[int, tuple[int, int]], clock: int) -> IntegralInTime:
    """Compile coefficients of test functions, and their derivatives by the unknowns and their time derivatives."""
    graph = side.graph
    tests = tuple((jet.component, jet.derivative) for jet in nodes)
    slopes = {
        (tests[number], (keys[jet.function][0], keys[jet.function][1] + jet.component, jet.derivative)): slope
        for (number, jet), slope in jet_slopes(graph, nodes.values(), keys).items()
    }
    residual, both = compile_tapes(graph, [[*nodes.values()], [*nodes.values(), *slopes.values()]])
    constant = tuple(graph.static[slope] for slope in slopes.values())
    return IntegralInTime(side.region, tuple(sorted(side.tags)), residual, both, tests, tuple(slopes), constant, keys, clock)
