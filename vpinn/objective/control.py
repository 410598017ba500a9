"""The control variate of a weak form, which turns the integrand of the residual into that of the strong form.

The form has the integrand F = a·v + B·∇v, and ∫ ∇·(vB) dx = ∫ v B·n ds. Subtracting ∇·(vB) from F and adding the boundary
integral changes the residual by quadrature error only, but the integrand becomes (a − ∇·B)·v, which vanishes at the solution.
There every batch estimates zero without error, and the covariance of its gradient goes to zero with the error of the solution.
On essential boundaries v = 0; on natural ones B·n cancels the term of the natural condition.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import ufl
from numpy.typing import NDArray
from ufl import classes as uc
from ufl.corealg.traversal import unique_pre_traversal
from ufl.domain import extract_domains

from vpinn.domain import BoundaryPart, Inside
from vpinn.errors import InputError
from vpinn.forms import Integral, integrals
from vpinn.problem import Problem
from vpinn.problem.batch import Batch
from vpinn.trial import Trial

KINKED = (uc.Conditional, uc.MinValue, uc.MaxValue, uc.Abs)
"""Operations with jumps or kinks; a flux that contains one may have no divergence."""


def estimator_of(problem: Problem, trial: Trial, batch: Batch) -> tuple[str, str]:
    """Return how squared residuals are estimated from batches with given settings, and the reason.

    Raises:
        InputError: the estimator in the problem file is not possible for the form.
    """
    asked = batch.estimator
    if not problem.formulation.tested:
        if asked in ("two-batch", "u-statistic", "control-variate"):
            raise InputError(
                f'batch.estimator = "{asked}" is for weak forms; the loss of {problem.formulation.name} forms is linear: '
                'use "plain"'
            )
        return "plain", "the loss is linear in the points: every batch is unbiased"
    if asked not in ("auto", "control-variate"):
        return asked, "as the problem file asks"
    if batch.size == "full":
        return "two-batch", "all points in every step: nothing is estimated"
    missing = obstacle(problem, trial)
    if not missing:
        return (
            "control-variate",
            "as the problem file asks" if asked != "auto" else "fluxes are smooth: the noise vanishes at the solution",
        )
    if asked != "auto":
        raise InputError(f'batch.estimator = "control-variate" does not fit: {missing}; use "two-batch"')
    return "two-batch", f"no control variate: {missing}"


def by_parts(problem: Problem, trial: Trial) -> bool:
    """Return whether a weak form is integrated by parts also when all points are used.

    That is so with corner functions and enrich functions, whose gradients no polynomial rule integrates accurately. They solve
    the equation to leading order, so that the integrand (a − ∇·B)·v is smoother.
    """
    return (trial.corners or bool(problem.enrich)) and not obstacle(problem, trial)


def obstacle(problem: Problem, trial: Trial) -> str:
    """Return the reason why a problem has no control variate; "" if it has one."""
    if not problem.formulation.tested:
        return "only a weak form has one"
    parts = [part for part in integrals(problem.formulation.integrals) if part.region is Inside]
    if any(part.tags for part in parts):
        return "the form differs between parts of the domain, and fluxes may jump there"
    fluxes = list(itertools.chain.from_iterable(_fluxes(problem, part) for part in parts))
    if any(isinstance(node, KINKED) for _, _, flux in fluxes for node in unique_pre_traversal(flux)):
        return "the flux holds a conditional, min, max or abs, and may jump"
    if any(_order(flux) > 1 for _, _, flux in fluxes):
        return "the flux holds second derivatives"
    if fluxes and trial.background.known:
        return "the distance or the lift lives on the mesh, and its slope jumps between cells"
    return ""


def controlled(problem: Problem) -> list[Integral]:
    """Return the integrals of the weak form with the control variate; those of normal fluxes are over the whole boundary."""
    found = []
    for part in integrals(problem.formulation.integrals):
        if part.region is not Inside:
            found.append(part)
            continue
        flat = {uc.Grad(u.test): _zero(uc.Grad(u.test).ufl_shape) for u in problem.unknowns}
        found.append(Integral(Inside, (), ufl.replace(part.integrand, flat)))
        for test, i, flux in _fluxes(problem, part):
            if extract_domains(flux):  # else it is a number, without derivative
                found.append(Integral(Inside, (), -flux.dx(i) * test))
            found.append(Integral(BoundaryPart, (), flux * problem.symbols.n[i] * test))
    return found


def natural_facets(problem: Problem, trial: Trial) -> NDArray[np.int64]:
    """Return the boundary facets where some component of the test functions does not vanish."""
    mesh = problem.domain.with_cells()
    held = np.ones(len(mesh.boundary), bool)
    for unknown in problem.unknowns:
        for component in range(int(np.prod(unknown.shape))):
            fixed = np.zeros(len(mesh.boundary), bool)
            for imposed in trial.imposed:
                if (imposed.condition.unknown, imposed.component) == (unknown.name, component) and imposed.how != "nitsche":
                    fixed[mesh.facets(imposed.condition.on)] = True
            held &= fixed
    return np.flatnonzero(~held)


def _fluxes(problem: Problem, part: Integral) -> Iterator[tuple[ufl.core.expr.Expr, int, ufl.core.expr.Expr]]:
    """Yield every component of the test functions, every coordinate i, and B_i, if it is not zero."""
    zero = {u.test: _zero(u.test.ufl_shape) for u in problem.unknowns}
    slopes = {uc.Grad(u.test): _zero(uc.Grad(u.test).ufl_shape) for u in problem.unknowns}
    for unknown in problem.unknowns:
        gradient = uc.Grad(unknown.test)
        for index in np.ndindex(gradient.ufl_shape):
            unit = np.zeros(gradient.ufl_shape)
            unit[index] = 1.0
            flux = ufl.replace(part.integrand, {**zero, **slopes, gradient: ufl.as_tensor(unit.tolist())})
            if not isinstance(ufl.algorithms.expand_indices(flux), uc.Zero):
                component = index[:-1]
                yield (unknown.test[component] if component else unknown.test), index[-1], flux


def _zero(shape: tuple[int, ...]) -> ufl.core.expr.Expr:
    zero: ufl.core.expr.Expr = ufl.as_tensor(np.zeros(shape).tolist()) if shape else ufl.as_ufl(0.0)
    return zero


def _order(expression: ufl.core.expr.Expr) -> int:
    """Return the highest order of derivatives in an expression."""
    highest = 0
    for node in unique_pre_traversal(expression):
        order = 0
        while isinstance(node, uc.Grad):
            node, order = node.ufl_operands[0], order + 1
        highest = max(highest, order)
    return highest
