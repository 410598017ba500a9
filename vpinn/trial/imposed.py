"""How the conditions of a problem are imposed on its trial space."""

from __future__ import annotations

from dataclasses import dataclass

from ufl.core.expr import Expr

from vpinn.problem import Condition


@dataclass(frozen=True)
class Imposed:
    """How one condition is imposed on one component.

    Attributes:
        condition: condition of the problem file.
        component: component of its unknown, counted from 0.
        value: scalar value on the boundary.
        how: "exact", "penalty", "nitsche", or "at nodes" (of finite elements).
        why: reason for this choice, for the report.
    """

    condition: Condition
    component: int
    value: Expr
    how: str
    why: str
