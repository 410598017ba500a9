"""The weak form of any formulation: what residuals, error estimates and least squares are made of."""

# mypy: disable-error-code="no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

from collections.abc import Sequence

import ufl
from ufl.algorithms.analysis import extract_coefficients
from ufl.core.expr import Expr

from vpinn.errors import InputError
from vpinn.forms import Graph, Jet, build, components, integrals, lower, split
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


def equations(problem: Problem) -> tuple[Expr, ...]:
    """Return the equations that hold at every point: those of a strong form, a − ∇·B = 0 of F(u; v) = ∫ a·v + B·∇v.

    The integrand is linear in v, so that a is its value at v = 1, and B_k that at v = x_k less x_k a.

    Raises:
        InputError: the form holds terms of the boundary or of parts of the domain, or second derivatives of a test function.
    """
    if problem.formulation == "strong":
        return problem.equations
    x, found = problem.symbols.x, []
    parts = integrals(variation(problem))
    if any(part.facet or part.tags for part in parts):
        raise InputError("the form holds terms of the boundary or of parts of the domain, which are no equation at every point")
    graph = Graph()
    jets = {jet for part in parts for jet in split(graph, build(graph, part.integrand))}
    if any(len(jet.derivative) > 1 for jet in jets):
        raise InputError("the form takes second derivatives of its test functions; its equations are not of this kind")
    total = sum((part.integrand for part in parts), ufl.as_ufl(0.0))
    for unknown in problem.unknowns:
        zeros = {u.test: ufl.zero(u.shape) for u in problem.unknowns}
        for component in range(unknown.components):
            tests = [ufl.as_ufl(1.0), *(x[k] for k in range(problem.domain.dimension))]
            shapes = [[v if k == component else ufl.as_ufl(0.0) for k in range(unknown.components)] for v in tests]
            given = [{**zeros, unknown.test: ufl.as_vector(entries) if unknown.shape else entries[0]} for entries in shapes]
            a, *moments = [ufl.replace(total, values) for values in given]
            here = -1 - (unknown.test.part() or 0)
            flux = [k for k in range(len(moments)) if Jet(here, component, (k,)) in jets]
            found.append(a - sum((moments[k] - x[k] * a).dx(k) for k in flux))
    return tuple(found)


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
