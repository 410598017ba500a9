"""Find the constants and rigid motions that a problem leaves undetermined, and fix them by a mean of zero.

Examples are the level of a pressure or a potential, and the position of a body without supports. A solution plus such a constant
or rotation is a solution, too. Of all these, the one that is orthogonal to them in L² is returned, and compared with the exact
one. Start from ``Level.of``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import ufl
from numpy.typing import NDArray
from torch import Tensor
from ufl.core.expr import Expr

from vpinn.domain import CellPoints, Mesh
from vpinn.errors import InputError
from vpinn.finite_elements.assembly import Discrete, assemble
from vpinn.finite_elements.essential import prescribed
from vpinn.finite_elements.form import Integrand, integrands, offsets
from vpinn.finite_elements.mixed import MixedSpace
from vpinn.finite_elements.motions import Kernel, Motion, motions
from vpinn.finite_elements.ties import allowed
from vpinn.forms import Background, Graph, Jet, build, components, evaluate
from vpinn.problem import Bound, Condition, Problem, Support
from vpinn.trial import Evaluator, Trial

Array = NDArray[np.float64]
DEGREE = 2
"""Degree of the finite elements with which undetermined motions are found."""
RULE = 20
"""Degree of the quadrature for means."""


@dataclass(frozen=True)
class Level:
    """The undetermined motions of a problem, which are fixed by means of zero.

    Attributes:
        problem: the problem.
        motions: motions that can be added to any solution: constants of components, and rotations of vectors.
    """

    problem: Problem
    motions: tuple[Motion, ...]

    @property
    def opened(self) -> tuple[int, ...]:
        """Components, counted through all unknowns, that are determined up to a constant only."""
        return tuple(motion.components[0] for motion in self.motions if not motion.axes)

    @property
    def turns(self) -> tuple[Motion, ...]:
        """Rotations of vectors that are undetermined."""
        return tuple(motion for motion in self.motions if motion.axes)

    def told(self, rotations: bool = True) -> list[str]:
        """Return a line for every unknown that is known up to motions only, which names them and says how they are fixed.

        Args:
            rotations: whether rotations are fixed, too, as in a solution by finite elements.
        """
        lines = []
        for unknown in self.problem.unknowns:
            own = [motion for motion in self.motions if motion.unknown == unknown.name and (rotations or not motion.axes)]
            if own and unknown.shape:
                freedoms = " and ".join(f"free to {motion.text}" for motion in own)
                lines.append(f"{unknown.name} is {freedoms}; the mean of these motions is set to 0")
            elif own:
                lines.append(f"{unknown.name} is known up to a constant; its mean is set to 0")
        return lines

    @classmethod
    def of(cls, problem: Problem) -> Level:
        """Return the undetermined motions of a problem.

        A motion is undetermined if no condition prescribes its components, and if the derivative of the form maps it to zero, for
        test functions that vanish where values are given. For a strong form, the constants of those components are undetermined
        of which only derivatives occur. Weak forms with second derivatives and domains without a mesh are taken to have none.
        """
        asked = set()
        stated: list[Condition | Bound | Support] = [*problem.boundary, *problem.bounds, *problem.supports]
        for condition in stated:
            if condition.unknown is not None:
                unknown = problem.unknown(condition.unknown)
                which = range(unknown.components) if condition.component is None else (condition.component,)
                asked |= {(unknown.name, component) for component in which}
        every = [(unknown.name, component) for unknown in problem.unknowns for component in range(unknown.components)]
        free = {at for at, one in enumerate(every) if one not in asked}
        candidates = [motion for motion in allowed(problem, motions(problem)) if free.issuperset(motion.components)]
        if not candidates or problem.domain.mesh is None:
            return cls(problem, ())
        if problem.formulation.pointwise:
            return cls(problem, _unnamed(problem, candidates))
        try:
            parts = integrands(problem)
        except InputError:  # second derivatives
            return cls(problem, ())
        return cls(problem, _unseen(problem, problem.domain.mesh, parts, candidates))

    def __call__(self, trial: Trial, theta: Tensor) -> Tensor:
        """Return parameters [size] whose undetermined components have mean zero, by a change of the last layer's biases."""
        if not self.opened:
            return theta
        unknowns = [component for unknown in self.problem.unknowns for component in components(unknown.function)]
        points = self._points
        integrals = Evaluator.of(self.problem, trial, [unknowns[at] for at in self.opened]).integrate(theta, points)
        result = theta.clone()
        bias = trial.network.unpack(result)[-1][1]
        for at, integral in zip(self.opened, integrals, strict=True):
            bias[at] -= integral / points.volume / (1.0 if trial.scales is None else trial.scales.sizes[at])
        return result

    @property
    def exact(self) -> dict[str, Expr]:
        """Unknown → exact solution of the problem file minus its L² projection on the undetermined motions."""
        result = dict(self.problem.exact)
        for unknown, first in zip(self.problem.unknowns, offsets(self.problem), strict=False):
            opened = [motion for motion in self.motions if motion.unknown == unknown.name]
            if unknown.name in result and opened:
                x, own = self.problem.symbols.x, range(first, first + unknown.components)
                moved = [ufl.as_vector([motion.expression(x, component) for component in own]) for motion in opened]
                truth = ufl.as_vector(components(result[unknown.name]))
                count = len(opened)
                products = [ufl.inner(one, other) for one in moved for other in (*moved, truth)]
                sums = self._integrals(products).reshape(count, count + 1)
                shares = np.linalg.solve(sums[:, :count], sums[:, count])
                rest = [sum(float(c) * motion[k] for c, motion in zip(shares, moved, strict=True)) for k in range(len(own))]
                result[unknown.name] -= ufl.as_vector(rest) if unknown.shape else rest[0]
        return result

    @property
    def _points(self) -> CellPoints:
        return CellPoints(self.problem.domain.with_cells(), RULE)

    def _integrals(self, expressions: list[Expr]) -> Array:
        """Return the integrals of known scalar expressions over the domain."""
        points = self._points
        parts = map(points.take, points.chunks(100_000))
        sums = [evaluate(expressions, part, Background(points.mesh)) @ part.w for part in parts]
        return np.asarray(np.sum(sums, axis=0))


def _unnamed(problem: Problem, candidates: Sequence[Motion]) -> tuple[Motion, ...]:
    """Return the constants among the candidates of whose components only derivatives occur in equations and conditions."""
    graph, first = Graph(), {u.function.count(): at for u, at in zip(problem.unknowns, offsets(problem), strict=False)}
    stated = [*problem.formulation.equations, *(c.residual for c in problem.boundary if c.residual is not None)]
    nodes = [build(graph, part) for expression in stated for part in components(expression)]
    jets = [slot for slot in graph.slots(nodes) if isinstance(slot, Jet) and slot.function in first]
    named = {first[jet.function] + jet.component for jet in jets if not jet.derivative}
    return tuple(motion for motion in candidates if not motion.axes and motion.components[0] not in named)


def _unseen(problem: Problem, mesh: Mesh, parts: Sequence[Integrand], candidates: Sequence[Motion]) -> tuple[Motion, ...]:
    """Return the candidates that the derivative of the form maps to zero, at a field without symmetries."""
    count, background = offsets(problem)[-1], Background(mesh)
    mixed = MixedSpace.of(mesh, [max(DEGREE, mesh.order)] * count)
    assemblers = [Discrete.of(part, mixed.highest, count, 2 * DEGREE, background) for part in parts]
    everything = np.arange(mixed.size)
    matrix = assemble(assemblers, mixed, 1.0 + 0.5 * np.cos(everything**2), everything)[1]
    tested = ~prescribed(problem, mixed, background)[1]
    unseen = Kernel.of(mixed, candidates).unseen(matrix, tested)
    return tuple(motion for motion, one in zip(candidates, unseen, strict=True) if one)
