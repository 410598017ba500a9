"""Parameters: numbers of which a problem has one member for each value, within given ranges.

The parameters of a family are the components of one UFL constant. `substitution.member` puts numbers for them.
"""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import ufl
from numpy.typing import NDArray
from pydantic import Field

from vpinn.errors import InputError
from vpinn.problem.learn import LEARNERS
from vpinn.problem.section import Real, Section
from vpinn.problem.wording import closest

if TYPE_CHECKING:
    from vpinn.problem.problem import Problem
    from vpinn.problem.schema import Settings
    from vpinn.problem.scope import Scope
    from vpinn.problem.source import Source

Array = NDArray[np.float64]
MOST = 6
"""Largest number of parameters of a family."""
OUTSIDE = 1e-12
"""Distance from a range, relative to its length, up to which a value counts as its end."""


class ParameterSection(Section):
    """The range of a parameter."""

    lower: Real = Field(description="Smallest value.")
    upper: Real = Field(description="Largest value.")
    scale: Literal["linear", "log"] = Field(
        "linear", description='"log": members are spread evenly in the logarithm of the parameter, which is positive.'
    )


Ranges = dict[str, tuple[Real, Real] | ParameterSection]
"""The section [parameters]: name → [lower, upper], or a table."""


@dataclass(frozen=True, eq=False)
class Parameters:
    """The parameters of a family, P of them, and the box of their values.

    Attributes:
        names: their names.
        lower: smallest values [P], each in its own unit.
        upper: largest values [P].
        log: whether values of a parameter are spread evenly in its logarithm [P].
        symbol: UFL constant, shape [P], that stands for them in forms and expressions.
        where: place of each in the problem file.
    """

    names: tuple[str, ...]
    lower: Array
    upper: Array
    log: NDArray[np.bool_]
    symbol: ufl.Constant
    where: tuple[str, ...]

    @property
    def center(self) -> Array:
        """The values in the middle of the box [P]."""
        return self.at(np.full((1, len(self.names)), 0.5))[0]

    def at(self, places: Array) -> Array:
        """Return the values at places [n, P] of the unit cube, to which the box is scaled."""
        low, high = (np.where(self.log, np.log(np.where(self.log, end, 1.0)), end) for end in (self.lower, self.upper))
        scaled = low + places * (high - low)
        return np.clip(np.where(self.log, np.exp(np.where(self.log, scaled, 0.0)), scaled), self.lower, self.upper)

    def places(self, values: Array) -> Array:
        """Return the places [n, P] in the unit cube of values [n, P], see ``at``."""
        scaled = np.where(self.log, np.log(np.where(self.log, values, 1.0)), values)
        low, high = (np.where(self.log, np.log(np.where(self.log, end, 1.0)), end) for end in (self.lower, self.upper))
        return np.asarray((scaled - low) / (high - low))

    def vector(self, values: Mapping[str, float]) -> Array:
        """Return named values as an array [P].

        Raises:
            InputError: a name is unknown or missing, or a value is outside its range.
        """
        for name in values:
            if name not in self.names:
                raise InputError(f"{name!r} is not a parameter of this family{closest(name, self.names)}")
        if missing := [name for name in self.names if name not in values]:
            raise InputError(f"no value for the parameter {missing[0]}; give all of {', '.join(self.names)}")
        for name, low, high in zip(self.names, self.lower, self.upper, strict=True):
            value, slack = values[name], OUTSIDE * (high - low)
            if not (math.isfinite(value) and low - slack <= value <= high + slack):
                raise InputError(f"{name} = {value:g} is outside the range of the family, {low:g} to {high:g}; solve a wider one")
        return np.clip(np.array([values[name] for name in self.names], dtype=np.float64), self.lower, self.upper)

    def told(self, values: Array) -> str:
        """Return values [P] as text: "mu = 2, k = 0.5"."""
        return ", ".join(f"{name} = {value:.6g}" for name, value in zip(self.names, values, strict=True))


def make_parameters(settings: Settings, source: Source, scope: Scope) -> tuple[Scope, Parameters | None]:
    """Return the scope with the parameters, and the parameters; None without [parameters].

    Raises:
        InputError: a name is taken, or another section does not go with a family.
    """
    sections = settings.parameters
    if not sections:
        if (method := settings.solver.method) in LEARNERS:
            raise InputError(f'method "{method}" learns from the members of a family; give [parameters]', source.place("solver"))
        return scope, None
    if len(sections) > MOST:
        raise InputError(
            f"a family has at most {MOST} parameters, got {len(sections)}; make constants of those that matter least",
            source.place("parameters", list(sections)[MOST]),
        )
    symbol = ufl.Constant(scope.symbols.mesh, shape=(len(sections),))
    for position, name in enumerate(sections):
        with source.located("parameters", name):
            scope = scope.define(name, symbol[position])
    if settings.eigen is not None:
        raise InputError("eigenproblems have no [parameters] yet; solve one per value", source.place("parameters"))
    if settings.domain is not None and settings.domain.time is not None:
        raise InputError("problems in time have no [parameters] yet; solve one per value", source.place("parameters"))
    if settings.infer:
        raise InputError("an inverse problem has no [parameters]; give them in [constants]", source.place("parameters"))
    for name in ("file", "fem"):
        if getattr(settings.reference, name) is not None:
            raise InputError(f"reference.{name} holds for one member of a family; leave it out", source.place("reference", name))
    ranges = [_range(name, section, source) for name, section in sections.items()]
    made = Parameters(
        names=tuple(sections),
        lower=np.array([one.lower for one in ranges]),
        upper=np.array([one.upper for one in ranges]),
        log=np.array([one.scale == "log" for one in ranges]),
        symbol=symbol,
        where=tuple(source.place("parameters", name) for name in sections),
    )
    return scope, made


def _range(name: str, given: ParameterSection | tuple[float, float], source: Source) -> ParameterSection:
    """Return the range of a parameter.

    Raises:
        InputError: it is empty, or not positive on a log scale.
    """
    found = given if isinstance(given, ParameterSection) else ParameterSection(lower=given[0], upper=given[1])
    with source.located("parameters", name):
        if not found.lower < found.upper:
            raise InputError(f"a range ends above its start, got {found.lower:g} to {found.upper:g}; write [lower, upper]")
        if found.scale == "log" and found.lower <= 0.0:
            raise InputError(f'a range on a log scale is positive, got {found.lower:g}; leave out scale = "log"')
    return found


def refuse_family(parameters: Parameters | None, what: str) -> None:
    """Refuse a family where only a single problem has an answer.

    Args:
        parameters: parameters of the problem.
        what: subject and verb of the refusal, as in "the noise report takes".

    Raises:
        InputError: it is a family.
    """
    if parameters is not None:
        name = parameters.names[0]
        raise InputError(
            f"{what} single problems, and [parameters] asks for a family; give {name} in [constants] instead", parameters.where[0]
        )


def refuse_single(problem: Problem) -> None:
    """Refuse a problem without parameters in ``vpinn learn``.

    Args:
        problem: the problem.

    Raises:
        InputError: the problem has no parameters.
    """
    if problem.parameters is None:
        raise InputError("vpinn learn needs a family; give [parameters], as in mu = [0.1, 10]", problem.where())
