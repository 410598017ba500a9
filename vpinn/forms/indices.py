"""Index expansion of UFL expressions in a time proportional to the number of distinct parts.

UFL's own pass visits a part once for every path that leads to it. A chain of n named expressions, each of which uses the one
before twice, would take 2ⁿ visits.
"""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

from ufl.algorithms.expand_indices import IndexExpander
from ufl.classes import Expr, Index, Variable


class Expander(IndexExpander):
    """UFL's index expander, with results stored by part, component and values of the free indices."""

    def __init__(self) -> None:
        super().__init__()
        self._done: dict[tuple[int, tuple[int, ...], tuple[int, ...]], Expr] = {}

    def visit(self, o: Expr) -> Expr:
        """Return a part of the expression expanded for the current component and index values."""
        if o._ufl_is_terminal_:
            return super().visit(o)
        values = tuple(self._index2value[Index(count)] for count in o.ufl_free_indices)
        key = (id(o), self.component(), values)
        if key not in self._done:
            self._done[key] = super().visit(o)
        return self._done[key]

    def variable(self, o: Variable) -> Expr:
        """Return the expanded operand of a variable; UFL's own method returns the first component for all components."""
        return self.visit(o.ufl_operands[0])
