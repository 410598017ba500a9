"""Checks of forms: whether an energy, a weak form or strong equations contain the functions that they may and must contain."""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

from collections.abc import Iterator, Sequence

import ufl
from ufl.algorithms.analysis import extract_arguments, extract_coefficients, extract_type
from ufl.algorithms.apply_algebra_lowering import apply_algebra_lowering
from ufl.algorithms.apply_derivatives import apply_derivatives
from ufl.algorithms.check_arities import ArityMismatch, check_integrand_arity
from ufl.algorithms.remove_complex_nodes import remove_complex_nodes
from ufl.classes import Expr, FacetNormal, Form, Zero

from vpinn.errors import InputError
from vpinn.problem.symbols import Symbols
from vpinn.problem.unknown import Unknown


def check_energy(form: Form, unknowns: Sequence[Unknown]) -> None:
    """Refuse an energy with a test function, without one of the unknowns, or with the normal inside the domain.

    Raises:
        InputError: the energy is refused; the message names the function.
    """
    _refuse_tests(form, unknowns, "an energy")
    _check_unknowns(form, unknowns)
    _check_normal(form)


def check_weak(form: Form, unknowns: Sequence[Unknown], symbols: Symbols) -> None:
    """Refuse a weak form that is not linear in the test functions, or in which a test function or an unknown is missing.

    For the check of linearity all test functions become components of one UFL argument V: UFL can check whether every integrand
    is linear in V.

    Raises:
        InputError: the form is refused; the message names the function or the rule.
    """
    present = set(extract_arguments(form))
    for unknown in unknowns:
        if unknown.test not in present:
            raise InputError(f"the weak form does not contain the test function {unknown.test_name} of {unknown.name}")
    _check_unknowns(form, unknowns)
    _check_normal(form)
    _check_linear_in_tests(form, unknowns, symbols, "a weak form")


def check_bilinear(form: Form, unknowns: Sequence[Unknown], symbols: Symbols, what: str) -> None:
    """Refuse a form that is not linear in the unknowns and in the test functions, or that has a term without an unknown.

    Args:
        form: what to check; it may miss some unknowns and their test functions.
        unknowns: of the problem.
        symbols: of the problem.
        what: the form's role in messages, with its article.

    Raises:
        InputError: says which.
    """
    _check_normal(form)
    _check_linear_in_tests(form, unknowns, symbols, what)
    names = " or ".join(unknown.name for unknown in unknowns)
    lowered = apply_derivatives(apply_algebra_lowering(form))
    for unknown in unknowns:
        direction = symbols.coefficient(unknown.shape)
        slope = apply_derivatives(ufl.derivative(lowered, unknown.function, direction))
        if {other.function for other in unknowns} & set(extract_coefficients(slope)):
            raise InputError(f"{what} is linear in the unknowns: each term has exactly one factor {names}")
    zero = {unknown.function: Zero(unknown.shape) for unknown in unknowns}  # last: u/u has no value there
    if any(not isinstance(part.integrand(), Zero) for part in apply_derivatives(ufl.replace(form, zero)).integrals()):
        raise InputError(f"{what} has no sources: each term has exactly one factor {names}")


def _check_linear_in_tests(form: Form, unknowns: Sequence[Unknown], symbols: Symbols, what: str) -> None:
    """Refuse a form that is not linear in all test functions together."""
    joint = symbols.test_function((sum(unknown.components for unknown in unknowns),))
    parts = {}
    first = 0
    for unknown in unknowns:
        entries = [joint[first + i] for i in range(unknown.components)]
        parts[unknown.test] = ufl.as_vector(entries) if unknown.shape else entries[0]
        first += unknown.components
    try:
        # inner(a, b) conjugates b; this changes nothing in real forms, but UFL's check of arity would refuse it
        for integral in remove_complex_nodes(apply_algebra_lowering(ufl.replace(form, parts))).integrals():
            if not isinstance(integral.integrand(), Zero):
                check_integrand_arity(integral.integrand(), (joint,))
    except ArityMismatch:
        names = " or ".join(unknown.test_name for unknown in unknowns)
        raise InputError(f"{what} is linear in the test functions: each term has exactly one factor {names}") from None
    except RecursionError:
        raise InputError("the form is nested too deeply; split it into several terms") from None


def check_strong(equations: Sequence[Expr], unknowns: Sequence[Unknown]) -> None:
    """Refuse strong equations with test functions or the normal, or fewer equations than components of the unknowns.

    Raises:
        InputError: the equations are refused; the message says why.
    """
    for equation in equations:
        check_known(equation, unknowns, "a strong form", normal=False, functions=True)
    _check_unknowns(equations, unknowns)
    count = sum(ufl.product(equation.ufl_shape) for equation in equations)
    needed = sum(unknown.components for unknown in unknowns)
    if count < needed:
        raise InputError(f"{count} scalar equation{'s' * (count > 1)} for {needed} unknown components; give at least as many")


def check_known(expression: Expr, unknowns: Sequence[Unknown], what: str, normal: bool, functions: bool = False) -> None:
    """Refuse an expression with test functions, with unknowns (unless ``functions``) or with the normal (unless ``normal``).

    Args:
        expression: expression to check.
        unknowns: unknowns of the problem.
        what: role of the expression in messages, with its article.
        normal: whether the normal n may occur, as on the boundary.
        functions: whether unknowns may occur.

    Raises:
        InputError: the expression is refused; the message names the function.
    """
    _refuse_tests(expression, unknowns, what)
    if not functions and (found := [u.name for u in unknowns if _occurs(u, set(extract_coefficients(expression)))]):
        raise InputError(f"{what} cannot depend on the unknown {found[0]}")
    if not normal and extract_type(expression, FacetNormal):
        raise InputError(f"{what} cannot contain the normal n, which exists on the boundary only")


def _refuse_tests(expression: Form | Expr, unknowns: Sequence[Unknown], what: str) -> None:
    present = set(extract_arguments(expression))
    for unknown in unknowns:
        if unknown.test in present:
            raise InputError(f"{what} has no test functions, but {unknown.test_name} is the test function of {unknown.name}")


def _check_unknowns(form: Form | Sequence[Expr], unknowns: Sequence[Unknown]) -> None:
    present = {function for part in _parts(form) for function in extract_coefficients(part)}
    for unknown in unknowns:
        if not _occurs(unknown, present):
            raise InputError(f"the form does not contain the unknown {unknown.name}; nothing would determine it")
    left = {function for part in _parts(form) for function in extract_coefficients(_differentiated(part))}
    for unknown in unknowns:
        if not _occurs(unknown, left):
            raise InputError(
                f"every term with the unknown {unknown.name} is zero, since the derivatives of piecewise constant functions are; "
                "nothing would determine it"
            )


def _differentiated(part: Form | Expr) -> Form | Expr:
    """Return a form or an expression with its derivatives carried out."""
    try:
        return apply_derivatives(apply_algebra_lowering(part))
    except RecursionError:
        raise InputError("the form is nested too deeply; split it into several terms") from None


def _occurs(unknown: Unknown, present: set[Expr]) -> bool:
    """Return whether an unknown, or one of its time derivatives, is among the functions of an expression."""
    return bool({unknown.function, *unknown.rates} & present)


def _check_normal(form: Form) -> None:
    for integral in form.integrals():
        if integral.integral_type() == "cell" and extract_type(integral.integrand(), FacetNormal):
            raise InputError("the normal n exists on the boundary only; use it under ds, not under dx")


def _parts(form: Form | Sequence[Expr]) -> Iterator[Form | Expr]:
    yield from [form] if isinstance(form, Form) else form
