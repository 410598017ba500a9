"""A problem in time at one instant, as a steady problem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import ufl

from vpinn.problem.formulation import Formulation, Strong, Weak
from vpinn.problem.problem import Stated
from vpinn.problem.time import frozen


def steady_at(problem: Stated, t: float) -> Stated:
    """Return a problem in time as one that is steady: everything at an instant, and time derivatives zero in its form."""
    clock = problem.time
    values = {clock.t: t}
    still = values | {rate: 0.0 for pair in clock.rates.values() for rate in pair}
    formulation = frozen_formulation(problem.formulation, still)
    boundary = tuple(replace(c, value=None if c.value is None else frozen(c.value, values)) for c in problem.boundary)
    exact = {name: frozen(value, values) for name, value in problem.exact.items()}
    answers = problem.answers.changed(lambda stated: frozen(stated, still))
    return replace(
        problem, formulation=formulation, boundary=boundary, exact=exact, answers=answers, reference=None, clock=None, initial=()
    )


def frozen_formulation(
    formulation: Formulation, values: Mapping[ufl.Coefficient, float], still: tuple[ufl.Coefficient, ...] = ()
) -> Formulation:
    """Return a formulation with numbers for functions that do not vary in space; see `frozen`."""
    if formulation.pointwise:
        return Strong(tuple(frozen(one, values, still) for one in formulation.equations))
    return Weak(frozen(formulation.integrals, values, still))
