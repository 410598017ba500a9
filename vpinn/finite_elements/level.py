"""Constants that a problem leaves open: the pressure of an enclosed flow, a potential whose flux is given all around.

A solution plus such a constant is a solution. The one of mean zero stands for all of them, and is compared with others of
mean zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import ufl
from numpy.typing import NDArray
from torch import Tensor
from ufl.core.expr import Expr

from vpinn.domain import CellPoints, FacetPoints, Mesh
from vpinn.errors import InputError
from vpinn.finite_elements.assembly import Discrete, assemble
from vpinn.finite_elements.essential import prescribed
from vpinn.finite_elements.form import Integrand, integrands, offsets
from vpinn.finite_elements.mixed import MixedSpace
from vpinn.forms import Background, Graph, Jet, build, components, evaluate
from vpinn.problem import Problem
from vpinn.trial import Evaluator, Trial

Array = NDArray[np.float64]
DEGREE = 2
"""Degree of the elements that tell."""
RULE = 20
"""Degree of the quadrature of means."""
KERNEL = 1e-9
"""Size of A·1, relative to the entries of A, at which constants count as the kernel of the form's derivative."""


@dataclass(frozen=True)
class Level:
    """What is said of a problem's open constants: means are zero.

    Attributes:
        problem: the problem.
        opened: components, counted through all unknowns, that it determines up to a constant only.
    """

    problem: Problem
    opened: tuple[int, ...]

    @classmethod
    def of(cls, problem: Problem) -> Level:
        """Return the level of a problem.

        Components are open that no condition names and whose constants the derivative of the form does not see, with tests
        that vanish where values are given; those of a strong form that it takes derivatives of alone. Weak forms of second
        derivatives and domains without a mesh leave none open.
        """
        asked = set()
        for condition in problem.boundary:
            if condition.value is not None and condition.unknown is not None:
                unknown = problem.unknown(condition.unknown)
                which = range(unknown.components) if condition.component is None else (condition.component,)
                asked |= {(unknown.name, component) for component in which}
        every = [(unknown.name, component) for unknown in problem.unknowns for component in range(unknown.components)]
        free = [at for at, one in enumerate(every) if one not in asked]
        if not free or not isinstance(problem.domain, Mesh):
            return cls(problem, ())
        if problem.formulation == "strong":
            return cls(problem, _unnamed(problem, free))
        try:
            parts = integrands(problem)
        except InputError:  # second derivatives
            return cls(problem, ())
        return cls(problem, _unseen(problem, problem.domain, parts, free))

    def __call__(self, trial: Trial, theta: Tensor) -> Tensor:
        """Return parameters [size] whose open components have mean zero; no condition bends these, so biases move them."""
        if not self.opened:
            return theta
        unknowns = [component for unknown in self.problem.unknowns for component in components(unknown.function)]
        points = self._points
        integrals = Evaluator.of(self.problem, trial, [unknowns[at] for at in self.opened]).integrate(theta.double(), points)
        result = theta.clone()
        bias = trial.network.unpack(result)[-1][1]
        for at, integral in zip(self.opened, integrals, strict=True):
            bias[at] -= integral / points.volume / (1.0 if trial.scales is None else trial.scales.sizes[at])
        return result

    @property
    def exact(self) -> dict[str, Expr]:
        """The exact solutions that the problem states, open components with mean zero."""
        result = dict(self.problem.exact)
        for unknown, first in zip(self.problem.unknowns, offsets(self.problem), strict=False):
            if unknown.name in result and any(first <= at < first + unknown.components for at in self.opened):
                parts = components(result[unknown.name])
                means = [self._mean(part) if first + i in self.opened else 0.0 for i, part in enumerate(parts)]
                result[unknown.name] -= ufl.as_vector(means) if unknown.shape else means[0]
        return result

    @property
    def _points(self) -> CellPoints:
        assert isinstance(self.problem.domain, Mesh)
        return CellPoints(self.problem.domain, RULE)

    def _mean(self, expression: Expr) -> float:
        points = self._points
        parts = map(points.take, points.chunks(100_000))
        sums = [evaluate([expression], part, Background(points.mesh))[0] @ part.w for part in parts]
        return float(sum(sums)) / points.volume


def _unnamed(problem: Problem, candidates: list[int]) -> tuple[int, ...]:
    """Return those candidates of which equations and conditions take derivatives alone."""
    graph, first = Graph(), {u.function.count(): at for u, at in zip(problem.unknowns, offsets(problem), strict=False)}
    stated = [*problem.equations, *(c.residual for c in problem.boundary if c.residual is not None)]
    nodes = [build(graph, part) for expression in stated for part in components(expression)]
    jets = [slot for slot in graph.slots(nodes) if isinstance(slot, Jet) and slot.function in first]
    named = {first[jet.function] + jet.component for jet in jets if not jet.derivative}
    return tuple(at for at in candidates if at not in named)


def _unseen(problem: Problem, mesh: Mesh, parts: tuple[Integrand, ...], candidates: list[int]) -> tuple[int, ...]:
    """Return those candidates whose constants the derivative of the form does not see, at fields that are nowhere special."""
    count, background = offsets(problem)[-1], Background(mesh)
    mixed = MixedSpace.of(mesh, [DEGREE] * count)
    assemblers = []
    for part in parts:
        facets = mesh.facets(part.tags) if part.facet else None
        points = CellPoints(mesh, 2 * DEGREE) if facets is None else FacetPoints(mesh, facets, 2 * DEGREE)
        assemblers.append(Discrete.of(part, mixed.highest, count, points, background))
    everything = np.arange(mixed.size)
    matrix = assemble(assemblers, mixed, 1.0 + 0.5 * np.cos(everything**2), everything)[1]
    tested, largest = ~prescribed(problem, mixed, background)[1], np.abs(matrix).max()
    found = []
    for component in candidates:
        constant = np.zeros(mixed.size)
        constant[mixed.numbers(component)] = 1.0
        seen = np.abs((matrix @ constant)[tested])
        if seen.max(initial=0.0) <= KERNEL * largest:
            found.append(component)
    return tuple(found)
