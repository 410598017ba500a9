"""Weights of conditions that are not met exactly, chosen in the units of the problem.

A deviation e from a boundary value that reaches a length L into the domain changes an equation F, or the factor of ∂ˢv in a
form, by at most S e, where S is the largest |∂F/∂(∂ᵐu)| L^(−m−s). The weight β of e² on the boundary is such that a deviation
costs as much there as inside the domain. Depending on the units it differs by many orders of magnitude.

| formulation | β | unit |
|---|---|---|
| energy | 500 (K/ℓ) L/D with the diameter D, which perturbs the solution by about 1/500 | S: energy/(volume u²) |
| weak | 50 K²/ℓ: the dual norm of S e over the length ℓ = (K/S)^½ that it reaches, L if terms of order zero are small | |
| strong | 100 S² L, and 100 L (S/S_R)² for a residual R, of which S_R is the S | |
| Nitsche | 20 K/h, where K is the largest |∂F/∂(∂u)| of ∂v (Nitsche 1971) | K: flux/gradient |
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import ufl
from ufl.core.expr import Expr

from vpinn.domain import BoundaryPart, Inside
from vpinn.forms import Graph, Jet, Node, build, compile_tape, components, derivatives, integrals, split, tag
from vpinn.objective.test_functions import NITSCHE
from vpinn.placement import HOST
from vpinn.problem import Condition, Problem
from vpinn.trial import Evaluator, Trial

FACTORISED = 100.0
"""Factor of β for a strong form solved by least squares. A large weight makes the problem stiff, which slows down training but
does not matter for a factorisation; there it lowers the error, by experience."""
POINTS = 1_000
"""Approximate number of boundary points at which coefficients are evaluated."""


def penalty_weight(problem: Problem, trial: Trial, condition: Condition, component: int) -> float:
    """Return the weight β > 0 of (u − g)² for a condition on one component; the weight in the problem file if there is one.

    Args:
        problem: problem in the formulation that is solved.
        trial: its trial space; coefficients are evaluated at the lift, where the network is zero.
        condition: condition with a value.
        component: component of its unknown, counted from 0.
    """
    if condition.weight is not None:
        return condition.weight
    length = side(problem)
    name = str(condition.unknown)
    formulation = problem.formulation
    change = _Sizes(problem, trial, condition).of(name, component) or length**-2
    flux = 0.0 if formulation.pointwise else _Sizes(problem, trial, condition, fluxes=True).of(name, component)
    factor = FACTORISED if formulation.pointwise and trial.rows else 1.0
    return factor * formulation.penalty(change, flux or change, length, problem.domain.dimension)


def residual_weight(problem: Problem, trial: Trial, condition: Condition) -> float:
    """Return the weight β > 0 of R² for a condition R of a strong form; arguments as for ``penalty_weight``."""
    if condition.weight is not None:
        return condition.weight
    assert condition.residual is not None
    sizes, ratios = _Sizes(problem, trial, condition), []
    for unknown in problem.unknowns:
        for component in range(unknown.components):
            here = sizes.of(unknown.name, component, (condition.residual,))
            if here > 0.0:
                ratios.append(sizes.of(unknown.name, component) / here)
    return problem.formulation.stiffness * side(problem) * (max(ratios, default=0.0) or 1.0) ** 2


def nitsche_weight(problem: Problem, trial: Trial, condition: Condition, component: int) -> float:
    """Return the factor of (u − g)²/h, > 0, in the units of the flux over those of ∇u; arguments as for ``penalty_weight``."""
    if condition.weight is not None:
        return condition.weight
    found = _Sizes(problem, trial, condition, fluxes=True).of(str(condition.unknown), component)
    return NITSCHE * (found * side(problem) ** 2 or 1.0)


def side(problem: Problem) -> float:
    """Return the root mean square L of the domain's extents, in units of length."""
    lower, upper = problem.domain.bounds
    return float(np.sqrt(np.mean((np.asarray(upper) - np.asarray(lower)) ** 2)))


class _Sizes:
    """The sizes S of a problem's components on the boundary part of a condition; with ``fluxes`` of the fluxes alone."""

    def __init__(self, problem: Problem, trial: Trial, condition: Condition, fluxes: bool = False) -> None:
        self._problem = problem
        self._trial = trial
        self._fluxes = fluxes
        self._length = side(problem)
        self._points = BoundaryPart.of(problem.domain, condition.on).spread(POINTS)

    def of(self, name: str, component: int, equations: Sequence[Expr] | None = None) -> float:
        """Return S of a component as a root mean square over points; 0 if it is not finite.

        Args:
            name: unknown.
            component: component of the unknown.
            equations: equations F; None for those of the problem.
        """
        w = self._problem.symbols.coefficient()
        graph = Graph(frozenset({self._trial.function.count(), w.count()}))
        slopes = []
        for order, node in self._nodes(graph, self._shifted(name, component, w), equations):
            jets = [slot for slot in graph.slots([node]) if isinstance(slot, Jet) and slot.function == w.count()]
            found = derivatives(graph, node, [graph.slot(jet) for jet in jets])
            for jet, slope in zip(jets, graph.substitute(found, dict.fromkeys(jets, 0.0)), strict=True):
                total = order + len(jet.derivative)
                if not self._fluxes or (order == 1 and total == 2):
                    slopes.append(graph.multiply([graph.number(self._length**-total), slope]))
        if not slopes:
            return 0.0
        theta = torch.zeros(self._trial.network.size, dtype=torch.float64, device=HOST)
        values = Evaluator(self._trial, compile_tape(graph, slopes))(theta, self._points)
        largest = float(np.sqrt(np.mean(values**2, axis=1)).max())
        return largest if math.isfinite(largest) else 0.0

    def _shifted(self, name: str, component: int, w: ufl.Coefficient) -> dict[ufl.Coefficient, Expr]:
        """Return the expressions of the unknowns on the trial space, with the function w added to one component."""
        known = {u.function: self._trial.unknowns[u.name] for u in self._problem.unknowns}
        unknown = self._problem.unknown(name)
        parts = [w if k == component else ufl.as_ufl(0.0) for k in range(unknown.components)]
        known[unknown.function] += ufl.as_vector(parts) if unknown.shape else w
        return known

    def _nodes(
        self, graph: Graph, known: dict[ufl.Coefficient, Expr], equations: Sequence[Expr] | None
    ) -> list[tuple[int, Node]]:
        """Return the equations, each with order 0, or the factors of ∂ˢv in the form, each with its order s."""
        problem = self._problem
        if problem.formulation.pointwise:
            parts = [part for equation in equations or problem.formulation.equations for part in components(equation)]
            return [(0, build(graph, part, known)) for part in parts]
        found = []
        for integral in integrals(problem.variation):
            if integral.region is Inside:
                marks = [graph.slot(tag(problem.tags[i], Inside)) for i in integral.tags]
                for jet, node in split(graph, build(graph, integral.integrand, known)).items():
                    found.append((len(jet.derivative), graph.multiply([*marks, node])))
        return found
