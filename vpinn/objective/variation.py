"""Change of formulation: strong equations of an energy or weak form, weak forms of equations; order and linearity of forms."""

# mypy: disable-error-code="no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import ufl
from ufl.algorithms.analysis import extract_coefficients
from ufl.classes import Div, Product, ScalarValue, Sum
from ufl.core.expr import Expr

from vpinn.domain import Inside
from vpinn.errors import InputError
from vpinn.forms import Graph, Jet, build, components, integrals, lower, split
from vpinn.problem import Problem, Stated, Strong, Weak
from vpinn.problem.formulation import total


def equations(problem: Problem) -> tuple[Expr, ...]:
    """Return the strong equations of a problem: for F(u; v) = ∫ a·v + B·∇v the equation a − ∇·B = 0.

    The integrand is linear in v, so that a is its value at v = 1, and B_k its value at v = x_k minus x_k a.

    Raises:
        InputError: the form has integrals over the boundary or over parts of the domain, or second derivatives of a test
            function.
    """
    if problem.formulation.pointwise:
        return problem.formulation.equations
    x, found = problem.symbols.x, []
    parts = integrals(problem.variation)
    if any(part.region is not Inside or part.tags for part in parts):
        raise InputError("the form has integrals over the boundary or parts of the domain; it has no equation at every point")
    graph = Graph()
    jets = {jet for part in parts for jet in split(graph, build(graph, part.integrand))}
    if any(len(jet.derivative) > 1 for jet in jets):
        raise InputError("the form has second derivatives of its test functions, for which the strong equations are not formed")
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


def pointwise(problem: Stated) -> Stated:
    """Return a problem in strong form, for an energy or weak form whose unknowns have values on the whole boundary.

    Raises:
        InputError: an unknown has no value on a part of the boundary, or the form has no such equations; see ``equations``.
    """
    if problem.formulation.pointwise:
        return problem
    for unknown in problem.unknowns:
        for component in range(unknown.components):
            held = [c for c in problem.boundary if c.unknown == unknown.name and c.component in (None, component)]
            tags = tuple(tag for condition in held for tag in condition.on)
            if not tags or len(problem.domain.facets(tags)) < len(problem.domain.facets("all")):
                raise InputError(
                    f"{unknown.name} is free on a part of the boundary; state the equation and the conditions in strong form"
                )
    return dataclasses.replace(problem, formulation=Strong(equations(problem)))


def highest_order(problem: Problem) -> int:
    """Return the highest order of derivatives of the unknowns in the equations of a strong form; 1 for other forms."""
    if not problem.formulation.pointwise:
        return 1
    graph = Graph()
    nodes = [build(graph, part) for equation in problem.formulation.equations for part in components(equation)]
    return max((len(slot.derivative) for slot in graph.slots(nodes) if isinstance(slot, Jet)), default=0)


def weakened(problem: Stated) -> Stated:
    """Return a problem with equations Σ c ∇·B + a = 0, with numbers c, in the weak form ∫ a v − Σ c B·∇v.

    Other problems are returned unchanged, and also those without a mesh, with equations that are not scalar, or without values on
    the whole boundary, where test functions must vanish.
    """
    domain, unknowns, equations = problem.domain, {u.function for u in problem.unknowns}, problem.formulation.equations
    if domain.mesh is None or len(equations) != len(problem.unknowns):
        return problem
    everywhere, forms, fluxes = domain.facets("all"), [], 0
    for unknown, equation in zip(problem.unknowns, equations, strict=True):
        held = [domain.facets(c.on) for c in problem.boundary if c.unknown == unknown.name and c.value is not None]
        if unknown.shape or equation.ufl_shape or not held or len(np.unique(np.concatenate(held))) < len(everywhere):
            return problem
        for factor, term in _terms(equation):
            flux = isinstance(term, Div) and bool(unknowns & set(extract_coefficients(term)))
            fluxes += flux
            tested = -ufl.inner(term.ufl_operands[0], ufl.grad(unknown.test)) if flux else term * unknown.test
            forms.append(factor * tested * ufl.Measure("dx", domain=problem.symbols.mesh))
    return dataclasses.replace(problem, formulation=Weak(total(forms))) if fluxes else problem


def _terms(expression: Expr, factor: float = 1.0) -> Iterator[tuple[float, Expr]]:
    """Yield the terms of a sum with their numeric factors."""
    operands = expression.ufl_operands
    if isinstance(expression, Sum):
        for operand in operands:
            yield from _terms(operand, factor)
    elif isinstance(expression, Product) and isinstance(operands[0], ScalarValue):
        yield from _terms(operands[1], factor * float(operands[0]))
    else:
        yield factor, expression


def is_linear(problem: Problem) -> bool:
    """Return whether F(u; v) is an affine function of the unknowns: its derivative does not contain them."""
    functions = {u.function for u in problem.unknowns}
    for unknown in problem.unknowns:
        direction = problem.symbols.coefficient(unknown.shape)
        for part in integrals(ufl.derivative(problem.variation, unknown.function, direction)):
            if functions & set(extract_coefficients(lower(part.integrand))):
                return False
    return True
