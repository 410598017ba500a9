"""Index expansion of UFL expressions that costs time by distinct part, not by path.

UFL's own pass visits a part once for every path that leads to it; a chain of names in which each uses the one before
twice would take 2ⁿ visits.
"""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

from ufl.algorithms.expand_indices import IndexExpander
from ufl.classes import Expr, Index, Variable


class Expander(IndexExpander):
    """UFL's index expander with a memo of (part, component, values of its free indices)."""

    def __init__(self) -> None:
        super().__init__()
        self._done: dict[tuple[int, tuple[int, ...], tuple[int, ...]], Expr] = {}

    def visit(self, o: Expr) -> Expr:
        """Return the part at the current component and index values."""
        if o._ufl_is_terminal_:
            return super().visit(o)
        values = tuple(self._index2value[Index(count)] for count in o.ufl_free_indices)
        key = (id(o), self.component(), values)
        if key not in self._done:
            self._done[key] = super().visit(o)
        return self._done[key]

    def variable(self, o: Variable) -> Expr:
        """Return what a variable stands for; UFL would hand every component the first one it met."""
        return self.visit(o.ufl_operands[0])
