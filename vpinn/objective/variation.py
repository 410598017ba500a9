"""The weak form of any formulation: what residuals, error estimates and least squares are made of."""

# mypy: disable-error-code="no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

from collections.abc import Sequence

import ufl
from ufl.algorithms.analysis import extract_coefficients

from vpinn.forms import components, integrals, lower
from vpinn.problem import Problem


def variation(problem: Problem) -> ufl.Form:
    """Return F(u; v) of any formulation: the form itself, the first variation of an energy, ∫ R·v of equations."""
    if problem.formulation == "weak":
        return problem.integrals
    if problem.formulation == "energy":
        return _total([ufl.derivative(problem.integrals, u.function, u.test) for u in problem.unknowns])
    tests = [part for u in problem.unknowns for part in components(u.test)]
    equations = [part for equation in problem.equations for part in components(equation)]
    dx = ufl.Measure("dx", domain=problem.symbols.mesh)
    return _total([equation * test * dx for equation, test in zip(equations, tests, strict=False)])


def is_linear(problem: Problem) -> bool:
    """Return whether F(u; v) is linear in the unknowns, up to a source: its derivative does not contain them."""
    functions = {u.function for u in problem.unknowns}
    for unknown in problem.unknowns:
        direction = problem.symbols.coefficient(unknown.shape)
        for part in integrals(ufl.derivative(variation(problem), unknown.function, direction)):
            if functions & set(extract_coefficients(lower(part.integrand))):
                return False
    return True


def _total(forms: Sequence[ufl.Form]) -> ufl.Form:
    result = forms[0]
    for form in forms[1:]:
        result = result + form
    return result
