"""Formulations: the ways to state an equation, one class each.

| key of ``[form]`` | the user states | the objective is |
|---|---|---|
| energy | a functional E(u), stationary at the solution | E(u) |
| weak | F(u; v) = 0 for all test functions v | ½‖F(u; ·)‖² in the dual norm of the test space |
| strong | equations R(u) = 0 at every point | ½ Σ ∫ R² |

Every formulation has a variation F(u; v), linear in the test functions v, which finite elements, least squares and error
estimates use. To add a formulation, subclass `Formulation` and list it in ``FORMULATIONS``.
"""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self, TypeVar, final

import ufl
from ufl.classes import Expr, Form

from vpinn.problem.checks import check_energy, check_strong, check_weak
from vpinn.problem.symbols import Symbols, components
from vpinn.problem.unknown import Unknown

T = TypeVar("T")
Products = Sequence[tuple[float, tuple[T, ...]]]
"""A sum of products, each given by a number and its other factors."""


class Formulation(ABC):
    """An equation as the user states it.

    Attributes:
        name: key of ``[form]`` in a problem file.
        tested: whether the form has test functions and so needs a mesh; the form of an energy has none.
        pointwise: whether the equation holds at every point (strong form); otherwise it is an integral, as finite elements and
            Nitsche's terms need it.
        squared: whether the objective is a sum of squares, which is zero at the solution.
        stiffness: dimensionless factor of penalty weights; see ``penalty``.
        integrals: UFL form; it has no integral if the equation is pointwise.
        equations: UFL expressions of any shape that are zero in the domain; () unless the equation is pointwise.
    """

    name: ClassVar[str]
    tested: ClassVar[bool] = False
    pointwise: ClassVar[bool] = False
    squared: ClassVar[bool] = True
    stiffness: ClassVar[float]
    integrals: Form
    equations: tuple[Expr, ...]

    @classmethod
    @abstractmethod
    def make(cls, stated: Sequence[Any], unknowns: Sequence[Unknown], symbols: Symbols) -> Self:
        """Return the formulation of a form or of equations, after checking them.

        Args:
            stated: one UFL form, or UFL expressions if ``pointwise``.
            unknowns: unknowns of the problem.
            symbols: symbols of the domain.

        Raises:
            InputError: a function is missing or does not belong there.
        """

    @classmethod
    def of(cls, integrals: Form) -> Self:
        """Return the formulation of a form that was checked before."""
        made = cls.__new__(cls)
        object.__setattr__(made, "integrals", integrals)
        return made

    @abstractmethod
    def variation(self, unknowns: Sequence[Unknown], symbols: Symbols) -> Form:
        """Return F(u; v), linear in the test functions."""

    def count(self, unknowns: Sequence[Unknown]) -> int:
        """Return the number of equations whose squares the objective adds up; 1 unless it is a sum of squares."""
        return 1

    def weighed(self, factors: Sequence[float], unknowns: Sequence[Unknown]) -> Self:
        """Return the formulation with every equation multiplied by its factor > 0 [count]; an energy is returned unchanged."""
        return self

    @abstractmethod
    def penalty(self, change: float, flux: float, length: float, dimension: int) -> float:
        """Return the weight β > 0 of (u − g)² on the boundary, such that a deviation costs as much there as in the domain.

        Args:
            change: largest change S of the equation by a unit deviation that reaches a length L into the domain.
            flux: K/L², where K is the change of the flux by a unit gradient; not used if the equation is pointwise.
            length: L, root mean square of the domain's extents.
            dimension: dimension d of the domain.
        """

    @abstractmethod
    def nitsche(self, flux: T, gap: T, test: T, scale: T) -> Products[T]:
        """Return Nitsche's terms as a sum of products, to be integrated over the boundary; () if the formulation has none.

        Args:
            flux: normal flux B·n of the variation F = a v + B·∇v.
            gap: deviation u − g from the boundary value.
            test: test function v.
            scale: β/h, with the cell diameter h.
        """


@final
@dataclass(frozen=True, eq=False)
class Energy(Formulation):
    """A functional E(u) that is stationary at the solution, without test functions."""

    integrals: Form
    equations = ()
    name = "energy"
    squared = False
    stiffness = 500.0

    @classmethod
    def make(cls, stated: Sequence[Any], unknowns: Sequence[Unknown], symbols: Symbols) -> Self:
        """Return the energy; see ``Formulation.make``."""
        (form,) = stated
        check_energy(form, unknowns)
        return cls(form)

    def variation(self, unknowns: Sequence[Unknown], symbols: Symbols) -> Form:
        """Return the first variation of the energy."""
        return total([ufl.derivative(self.integrals, unknown.function, unknown.test) for unknown in unknowns])

    def penalty(self, change: float, flux: float, length: float, dimension: int) -> float:
        """Return β = 500 (K/ℓ) L/D with ℓ = (K/S)^½ and the diameter D = d^½ L, which perturbs the solution by about 1/500."""
        return self.stiffness * (math.sqrt(change * flux) * length) / math.sqrt(dimension)

    def nitsche(self, flux: T, gap: T, test: T, scale: T) -> Products[T]:
        """Return −(B·n)(u − g) + ½ β/h (u − g)², which is added to the energy."""
        return (-1.0, (flux, gap)), (0.5, (scale, gap, gap))


@final
@dataclass(frozen=True, eq=False)
class Weak(Formulation):
    """A form F(u; v), linear in the test functions, that vanishes for all of them."""

    integrals: Form
    equations = ()
    name = "weak"
    tested = True
    stiffness = 50.0

    @classmethod
    def make(cls, stated: Sequence[Any], unknowns: Sequence[Unknown], symbols: Symbols) -> Self:
        """Return the weak form; see ``Formulation.make``."""
        (form,) = stated
        check_weak(form, unknowns, symbols)
        return cls(form)

    def variation(self, unknowns: Sequence[Unknown], symbols: Symbols) -> Form:
        """Return the form itself."""
        return self.integrals

    def count(self, unknowns: Sequence[Unknown]) -> int:
        """Return the number of unknowns: the test function of each states an equation."""
        return len(unknowns)

    def weighed(self, factors: Sequence[float], unknowns: Sequence[Unknown]) -> Self:
        """Return the form with every test function multiplied by its factor."""
        tests = {unknown.test: factor * unknown.test for unknown, factor in zip(unknowns, factors, strict=True)}
        return self.of(ufl.replace(self.integrals, tests))

    def penalty(self, change: float, flux: float, length: float, dimension: int) -> float:
        """Return β = 50 K²/ℓ, from the dual norm of S over the length ℓ = (K/S)^½ that a wrong boundary value reaches."""
        return self.stiffness * (math.sqrt(change * flux) * length) * flux * length**2

    def nitsche(self, flux: T, gap: T, test: T, scale: T) -> Products[T]:
        """Return −(B·n) v + β/h (u − g) v, which is added to the residual."""
        return (-1.0, (flux, test)), (1.0, (scale, gap, test))


@final
@dataclass(frozen=True, eq=False)
class Strong(Formulation):
    """Equations that hold at every point of the domain."""

    equations: tuple[Expr, ...]
    integrals = Form([])
    name = "strong"
    pointwise = True
    stiffness = 100.0

    @classmethod
    def make(cls, stated: Sequence[Any], unknowns: Sequence[Unknown], symbols: Symbols) -> Self:
        """Return the equations; see ``Formulation.make``."""
        check_strong(stated, unknowns)
        return cls(tuple(stated))

    def variation(self, unknowns: Sequence[Unknown], symbols: Symbols) -> Form:
        """Return ∫ Σ Rᵢ vᵢ, where the ith scalar equation is multiplied by the ith component of the test functions."""
        tests = [part for unknown in unknowns for part in components(unknown.test)]
        equations = [part for equation in self.equations for part in components(equation)]
        dx = ufl.Measure("dx", domain=symbols.mesh)
        return total([equation * test * dx for equation, test in zip(equations, tests, strict=False)])

    def count(self, unknowns: Sequence[Unknown]) -> int:
        """Return the number of equations; one for vectors has one unit."""
        return len(self.equations)

    def weighed(self, factors: Sequence[float], unknowns: Sequence[Unknown]) -> Self:
        """Return the equations multiplied by their factors."""
        return type(self)(tuple(factor * equation for factor, equation in zip(factors, self.equations, strict=True)))

    def penalty(self, change: float, flux: float, length: float, dimension: int) -> float:
        """Return β = 100 S² L."""
        return self.stiffness * change**2 * length

    def nitsche(self, flux: T, gap: T, test: T, scale: T) -> Products[T]:
        """Return no terms, because pointwise equations have no flux."""
        return ()


FORMULATIONS: Final[Mapping[str, type[Formulation]]] = {kind.name: kind for kind in (Energy, Weak, Strong)}
"""Key of ``[form]`` in a problem file → formulation."""


def total(forms: Sequence[Form]) -> Form:
    """Return the sum of one or more forms."""
    result = forms[0]
    for form in forms[1:]:
        result = result + form
    return result
