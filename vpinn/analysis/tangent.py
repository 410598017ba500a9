"""Assemble the weak form around a network's solution u on finite elements: residual F(u; φᵢ) and tangent F'(u)[φⱼ, φᵢ].

The integrands are stated for u + w with a finite element function w. The coefficients of the test functions are differentiated
by the values and derivatives of w, and w is set to zero. ``correction`` solves the resulting linear system.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
import ufl
from torch import Tensor

from vpinn.domain import REGIONS, CellPoints, Inside, LagrangeSpace, Points, Region, affordable_refine, carried_points
from vpinn.finite_elements import Assembler, Rule, coefficients, key_of, linearised, terms_at
from vpinn.forms import Graph, Jet, Value, compile_tape
from vpinn.objective.control import by_parts, controlled
from vpinn.objective.integrands import Integrands
from vpinn.problem import Case, Load, Problem, Weak
from vpinn.trial import Evaluator, Trial
from vpinn.trial.network import Jets

Unknowns = Mapping[str, ufl.core.expr.Expr]
"""Name of an unknown → expression for it."""
Seen = tuple[Points, Jets]
"""Points, with values and derivatives (jets) of the network there."""


@dataclass(frozen=True)
class Shift:
    """The corrected unknowns u + w as expressions.

    Attributes:
        unknowns: name → u + w, an expression of the network and of ``functions``.
        differences: name → w.
        functions: scalar functions of which w consists, one per component.
    """

    unknowns: Unknowns
    differences: Unknowns
    functions: tuple[ufl.Coefficient, ...]

    @classmethod
    def of(cls, problem: Problem, trial: Trial) -> Shift:
        """Return the unknowns of a trial space plus w, where the components of w are new functions."""
        functions: list[ufl.Coefficient] = []
        differences = {}
        for unknown in problem.unknowns:
            parts = [problem.symbols.coefficient() for _ in range(unknown.components)]
            functions += parts
            differences[unknown.name] = ufl.as_vector(parts) if unknown.shape else parts[0]
        return cls({name: trial.unknowns[name] + w for name, w in differences.items()}, differences, tuple(functions))

    @property
    def counts(self) -> tuple[int, ...]:
        """UFL counts of ``functions``."""
        return tuple(w.count() for w in self.functions)


@dataclass(frozen=True)
class Corrected:
    """A corrected solution u + w.

    Attributes:
        trial: trial space whose unknowns are u + w, at the parameters of u.
        left: share of the residual that w does not remove, 0 to 1.
        residual: F(u; φᵢ) on the finite elements of w [components, size]; None if w consists of features, or of elements of
            different degrees.
        seen: points of the domain with the network's jets there; empty if they were not kept.
    """

    trial: Trial
    left: float
    residual: Tensor | None = None
    seen: Sequence[Seen] = ()


@dataclass(frozen=True)
class Tangent(Assembler):
    """The integrals of the form over the domain, or those over the boundary, around u.

    Attributes:
        integrands: evaluates the coefficient of every test function, then every derivative.
        theta: parameters of u [size]; None until they are given.
        seen: list to which points of the domain and the network's jets there are added, so that they need not be computed again.
    """

    integrands: Evaluator
    theta: Tensor | None = None
    seen: list[Seen] = field(default_factory=list)

    def outputs(self, points: Points, jets: Tensor | None, matrix: bool) -> Sequence[Value]:
        """Return coefficients and derivatives at u."""
        assert self.theta is not None
        found = self.integrands.jets(self.theta, points)
        if isinstance(self.points, CellPoints):
            self.seen.append((points, found))
        return list(torch.from_numpy(self.integrands(self.theta, points, found)))


def make_tangents(problem: Case, trial: Trial, shift: Shift, space: LagrangeSpace, degree: int) -> tuple[Tangent, ...]:
    """Return the integrals of a form over the domain and over the boundary.

    Args:
        problem: problem on a mesh, in any formulation.
        trial: its trial space.
        shift: unknowns u + w.
        space: finite elements of w and of the test functions.
        degree: degree of the quadrature, 1 to 30.

    Raises:
        InputError: the form has second derivatives, which continuous elements lack.
    """
    refine = affordable_refine(space.mesh, degree, problem.settings.quadrature.refine)
    counts, tangents = {count: component for component, count in enumerate(shift.counts)}, []
    weak = dataclasses.replace(problem, formulation=Weak(problem.variation))
    smoother = controlled(weak) if by_parts(weak, trial) else None
    measures: list[tuple[type[Region], Load | None]] = [(region, None) for region in REGIONS]
    measures += [(Inside, load) for load in problem.loads]
    for region, load in measures:
        side = Integrands(Graph(frozenset({trial.function.count(), *counts})), region)
        terms = None if load is None else terms_at(problem, load)
        nodes, graph = coefficients(problem, shift.unknowns, side, terms), side.graph
        slopes = linearised(graph, nodes, counts)
        if smoother is not None and load is None:
            nodes = coefficients(problem, trial.unknowns, side, smoother)
        if not nodes:
            continue
        found = [*nodes.values(), *slopes.values()]
        w = [slot for slot in graph.slots(found) if isinstance(slot, Jet) and slot.function in counts]
        tape = compile_tape(graph, graph.substitute(found, dict.fromkeys(w, 0.0)))
        points: Rule = region.of(space.mesh, tuple(side.tags)).on_cells(degree, refine=refine)
        if load is not None:
            points = carried_points(space.mesh, load.carriers, degree)
        tests, pairs = tuple(map(key_of, nodes)), tuple(slopes)
        tangents.append(Tangent(space, len(counts), points, tests, pairs, Evaluator(trial, tape)))
    return tuple(tangents)
