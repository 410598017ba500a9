"""The unknown functions of a problem."""

from __future__ import annotations

from dataclasses import dataclass

import ufl

FAR = 10_000
"""Part of the first unknown's test function on the far side of an interface; there are fewer unknowns."""


@dataclass(frozen=True, eq=False)
class Unknown:
    """An unknown function.

    Attributes:
        name: name in the problem file.
        test_name: name of its test function.
        shape: value shape, () or (components,).
        function: UFL coefficient of the unknown.
        test: UFL argument of the test function; its number is 0, and its part the position among the unknowns.
        rates: UFL coefficients of the first and second time derivative; () in a steady problem.
        far: UFL coefficient of its value on the other side of an interface, in terms over dS; None where cells have no tags.
        far_test: UFL argument of the test function there.
    """

    name: str
    test_name: str
    shape: tuple[int, ...]
    function: ufl.Coefficient
    test: ufl.Argument
    rates: tuple[ufl.Coefficient, ...] = ()
    far: ufl.Coefficient | None = None
    far_test: ufl.Argument | None = None

    @property
    def components(self) -> int:
        """Number of scalar components, ≥ 1."""
        return self.shape[0] if self.shape else 1
