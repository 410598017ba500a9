"""Inverse problems: the [infer] and [[data]] sections, and what they mean.

An unknown number or field is a UFL expression of a symbol s, which is dimensionless, 0 at the initial value, and has no bounds;
the value keeps the bounds of the file for every s. A measurement is an expression of the unknowns at points, or an integral.
"""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import ufl
from numpy.typing import NDArray
from pydantic import Field as Key
from pydantic import model_validator
from ufl.classes import Expr, Form

from vpinn.errors import InputError
from vpinn.problem.section import Positive, Real, Section, Text

if TYPE_CHECKING:
    from vpinn.problem.scope import Scope
    from vpinn.problem.source import Source

Array = NDArray[np.float64]


class PriorSection(Section):
    """A Gaussian prior that is given."""

    std: Positive = Key(
        description="Standard deviation about the initial value: of a number in its unit; of a field without bounds in its unit, "
        "with bounds relative to its distance from them."
    )
    length: Positive | None = Key(None, description="Of a field: distance over which it changes, in units of length.")


class InferSection(Section):
    """An unknown number, or an unknown field."""

    field: bool = Key(False, description="Whether it is a field, which may depend on x, instead of a number.")
    initial: Real = Key(1.0, description="First guess, and mean of a prior that is given.")
    lower: Real | None = Key(None, description="It is above this number.")
    upper: Real | None = Key(None, description="It is below this number.")
    prior: Literal["auto"] | PriorSection = Key(
        "auto", description="Of a field: size and smoothness by the evidence of the data; of a number: none; or { std = 0.1 }."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = -math.inf if self.lower is None else self.lower, math.inf if self.upper is None else self.upper
        if not low < self.initial < high:
            raise ValueError(f"initial lies between lower and upper, got {self.initial:g} for {low:g} to {high:g}")
        given = isinstance(self.prior, PriorSection)
        if given and self.field and self.prior.length is None:  # type: ignore[union-attr]
            raise ValueError("the prior of a field needs a length beside std; give both, or leave prior out")
        if given and not self.field and self.prior.length is not None:  # type: ignore[union-attr]
            raise ValueError("a number has no length; leave it out of its prior")
        return self


class DataSection(Section):
    """Measurements: values at the points of a file, or the value of an integral."""

    file: Text | None = Key(None, description="CSV file with columns x, y, … (t) and value, or one for each unknown.")
    observes: Text | None = Key(
        None, description="What was measured: an expression of the unknowns; or with value an integral, \"u*ds('outlet')\"."
    )
    value: Real | None = Key(None, description="Measured value of an integral, instead of a file.")
    noise: Positive | None = Key(None, description="Standard deviation of the measurements; left out, it is inferred.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.file is None) == (self.value is None):
            raise ValueError("give exactly one of file, for values at points, and value, for an integral")
        if self.value is not None and self.observes is None:
            raise ValueError("a value needs observes, the integral that was measured")
        if self.value is not None and self.noise is None:
            raise ValueError("a single value needs its noise, a standard deviation")
        return self


@dataclass(frozen=True, eq=False)
class Inferred:
    """An unknown number or field.

    Attributes:
        name: name in the problem file.
        symbol: UFL function of s, a number or a field.
        section: how it is stated.
        where: place in the problem file.
    """

    name: str
    symbol: ufl.Coefficient
    section: InferSection
    where: str

    @property
    def field(self) -> bool:
        """Whether it is a field."""
        return self.section.field

    @property
    def scale(self) -> float:
        """Change of the value per unit of s at the initial value, > 0."""
        given = self.section
        if given.lower is None and given.upper is None:
            return abs(given.initial) or 1.0
        return self.slope(np.zeros(1))[0]

    def value(self, s: Any, exp: Callable[[Any], Any] = np.exp) -> Any:
        """Return the value for s: initial + scale s, or with bounds a function that keeps them.

        Args:
            s: numbers or a UFL expression.
            exp: exponential function of these.
        """
        given = self.section
        low, high, start = given.lower, given.upper, given.initial
        if low is not None and high is not None:
            return low + (high - low) / (1.0 + (high - start) / (start - low) * exp(-s))
        if low is not None:
            return low + (start - low) * exp(s)
        return start + self.scale * s if high is None else high - (high - start) * exp(-s)

    def slope(self, s: Array) -> Array:
        """Return the derivative of the value by s, by a complex step, which is exact to rounding."""
        return np.imag(self.value(s + 1e-30j)) / 1e-30

    @property
    def expression(self) -> Expr:
        """The value as a UFL expression of the symbol."""
        return self.value(self.symbol, ufl.exp)


@dataclass(frozen=True, eq=False)
class Observation:
    """Measurements of one kind.

    Attributes:
        what: UFL expression that was measured at points, of any shape, or the form of an integral.
        points: where [n, d]; with time t last [n, d + 1]; None of an integral.
        values: measured [n, components], or [1, 1].
        noise: standard deviation, > 0, in the unit of the values; None where it is to be inferred.
        told: what was measured, in words.
        where: place in the problem file.
    """

    what: Expr | Form
    points: Array | None
    values: Array
    noise: float | None
    told: str
    where: str


@dataclass(frozen=True, eq=False)
class Inverse:
    """What is unknown beside the solution, and what was measured.

    Attributes:
        inferred: unknown numbers and fields, at least one.
        data: measurements, at least one section.
        exact: name → true value as an expression, for comparison only, as far as it is known.
    """

    inferred: tuple[Inferred, ...]
    data: tuple[Observation, ...]
    exact: Mapping[str, Expr]

    @property
    def numbers(self) -> tuple[Inferred, ...]:
        """The unknown numbers."""
        return tuple(one for one in self.inferred if not one.field)

    @property
    def fields(self) -> tuple[Inferred, ...]:
        """The unknown fields."""
        return tuple(one for one in self.inferred if one.field)


def make_inferred(sections: dict[str, InferSection], source: Source, scope: Scope) -> tuple[Scope, tuple[Inferred, ...]]:
    """Return the scope with the unknown numbers and fields, and these.

    Raises:
        InputError: a name is taken.
    """
    found = list[Inferred]()
    for name, section in sections.items():
        symbol = scope.symbols.coefficient() if section.field else scope.symbols.number()
        one = Inferred(name, symbol, section, source.place("infer", name))
        with source.located("infer", name):
            scope = scope.define(name, one.expression)
        found.append(one)
    return scope, tuple(found)


def refuse_inverse(inverse: Inverse | None, what: str, where: str) -> None:
    """Refuse an inverse problem where all coefficients have to be known.

    Args:
        inverse: inverse problem of the file; None if it has none.
        what: subject and verb of the refusal, as in "the noise report takes".
        where: place of [infer] in the problem file.

    Raises:
        InputError: it is an inverse problem.
    """
    if inverse is not None:
        names = ", ".join(one.name for one in inverse.inferred)
        raise InputError(f"{what} problems whose coefficients are known, and [infer] asks for {names}; give constants", where)
