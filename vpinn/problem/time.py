"""Time in expressions: the symbol t, time derivatives of unknowns, and expressions at one instant.

The time t and the time derivatives of every unknown are separate UFL functions. dt(f) is expanded by the chain rule when the
expression is read. t is constant in space, so that its gradient is zero. Start with `Clock`.
"""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import ufl
from ufl.algorithms.analysis import extract_arguments, extract_coefficients
from ufl.algorithms.apply_algebra_lowering import apply_algebra_lowering
from ufl.algorithms.apply_derivatives import apply_derivatives
from ufl.algorithms.map_integrands import map_integrands
from ufl.classes import Expr, Zero
from ufl.corealg.map_dag import map_expr_dag
from ufl.corealg.multifunction import MultiFunction

from vpinn.errors import InputError
from vpinn.problem.limits import check_size
from vpinn.problem.symbols import Symbols

Stated = TypeVar("Stated", Expr, ufl.Form)


@dataclass(frozen=True, eq=False)
class Clock:
    """The time span of a problem, with the UFL functions for time and time derivatives.

    Attributes:
        start: first instant, in units of time.
        end: last instant, in units of time, > start.
        t: UFL function for the time.
        one: UFL function for the derivative of t, replaced by the number 1 after the chain rule.
        rates: UFL function of an unknown → those of its first and second time derivative.
    """

    start: float
    end: float
    t: ufl.Coefficient
    one: ufl.Coefficient
    rates: Mapping[ufl.Coefficient, tuple[ufl.Coefficient, ufl.Coefficient]] = field(default_factory=dict)

    @classmethod
    def of(cls, span: tuple[float, float], symbols: Symbols) -> Clock:
        """Return the clock of a time span (start, end), without unknowns."""
        return cls(*span, symbols.coefficient(), symbols.coefficient())

    def knowing(self, function: ufl.Coefficient, symbols: Symbols) -> Clock:
        """Return the clock with time derivatives for one more unknown, given by its UFL function."""
        shape = function.ufl_shape
        return replace(self, rates={**self.rates, function: (symbols.coefficient(shape), symbols.coefficient(shape))})

    def derivative(self, expression: Expr) -> Expr:
        """Return the time derivative of an expression of coordinates, time and unknowns.

        Raises:
            InputError: the expression has a test function or a second time derivative, or the result has too many parts.
        """
        if isinstance(expression, ufl.Coefficient) and expression in self.rates:
            return self.rates[expression][0]
        check_size(expression)
        lowered = apply_derivatives(apply_algebra_lowering(expression))
        present = set(extract_coefficients(lowered))
        if extract_arguments(lowered):
            raise InputError("test functions have no time derivative; take that of the unknown, as in dt(u)*v")
        if any(second in present for _, second in self.rates.values()):
            raise InputError("a third time derivative; split the equation into several of lower order")
        follows = {self.t: self.one}
        for function, (first, second) in self.rates.items():
            follows |= {function: first, first: second}
        total: Expr = Zero(expression.ufl_shape)
        for function, slope in follows.items():
            if function in present:
                total = total + apply_derivatives(ufl.derivative(lowered, function, slope))
        result = frozen(total, {self.one: 1.0}, still=(self.t,))
        check_size(result)
        return result

    def order(self, function: ufl.Coefficient, parts: Sequence[ufl.Form | Expr]) -> int:
        """Return the order of the highest time derivative of an unknown in forms or equations: 0, 1 or 2.

        Args:
            function: UFL function of the unknown.
            parts: forms or equations.
        """
        present = {one for part in parts for one in extract_coefficients(part)}
        first, second = self.rates[function]
        return 2 if second in present else int(first in present)


@dataclass(frozen=True, eq=False)
class InitialState:
    """The state of an unknown at the start.

    Attributes:
        unknown: name of the unknown.
        component: component of the unknown, counted from 0; None for all components.
        value: expression of the coordinates, of the unknown's shape, or scalar for a component.
        rate: first time derivative at the start, of the same shape; None for an equation of first order.
        where: place in the problem file, for messages.
    """

    unknown: str
    component: int | None
    value: Expr
    rate: Expr | None
    where: str


class _Frozen(MultiFunction):
    """Replacement of functions that are constant in space by numbers, and of their gradients by zero."""

    def __init__(self, values: Mapping[Any, float], still: tuple[Any, ...]) -> None:
        super().__init__()
        self._values, self._still = values, still

    def coefficient(self, o: Any) -> Any:
        if o not in self._values:
            return o
        return Zero(o.ufl_shape) if o.ufl_shape else ufl.as_ufl(self._values[o])

    def grad(self, o: Any) -> Any:
        inner = o
        while isinstance(inner, ufl.classes.Grad):
            inner = inner.ufl_operands[0]
        return Zero(o.ufl_shape) if inner in self._values or inner in self._still else o

    expr = MultiFunction.reuse_if_untouched
    terminal = MultiFunction.reuse_if_untouched


def frozen(stated: Stated, values: Mapping[ufl.Coefficient, float], still: tuple[ufl.Coefficient, ...] = ()) -> Stated:
    """Return an expression or a form in which functions that are constant in space are replaced by numbers.

    Args:
        stated: expression or form.
        values: function → number; functions with components are replaced by zero.
        still: functions that remain, with gradients replaced by zero.
    """
    rules = _Frozen(values, still)
    lowered = apply_derivatives(apply_algebra_lowering(stated))
    if isinstance(lowered, ufl.Form):
        return map_integrands(lambda part: map_expr_dag(rules, part), lowered)
    return map_expr_dag(rules, lowered)
