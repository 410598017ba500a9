"""The functions to be found."""

from __future__ import annotations

from dataclasses import dataclass

import ufl


@dataclass(frozen=True, eq=False)
class Unknown:
    """A function to be found.

    Attributes:
        name: as in the problem file.
        test_name: name of its test function.
        shape: value shape, () or (components,).
        function: the UFL coefficient that stands for it.
        test: the UFL argument (number 0, part: position among the unknowns) that stands for its test function.
    """

    name: str
    test_name: str
    shape: tuple[int, ...]
    function: ufl.Coefficient
    test: ufl.Argument

    @property
    def components(self) -> int:
        """Number of scalar components, ≥ 1."""
        return self.shape[0] if self.shape else 1
