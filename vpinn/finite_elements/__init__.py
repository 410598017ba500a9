"""Finite elements as another trial space for the same forms: a reference solution, and the yardstick, of every problem.

`form` (weak form → coefficients of the test functions) and `mixed` (a degree for every unknown) → `assembly` (→ residual and
sparse derivative) with `essential` (values on the boundary), `level` (`motions` left open) and `balance` (data that must cancel
then) → `newton` (factors, or `multilevel` iterations), inside `active_set` where there are `bounds` → `solution`;
`solve` is the whole of it.
"""

from vpinn.finite_elements.assembly import Assembler, assemble
from vpinn.finite_elements.balance import check_balance
from vpinn.finite_elements.bounds import Contact
from vpinn.finite_elements.essential import boundary_values, condition_points, support_values
from vpinn.finite_elements.form import coefficients, key_of, linearised, terms_at
from vpinn.finite_elements.level import Level
from vpinn.finite_elements.mixed import MixedSpace, lower
from vpinn.finite_elements.motions import Kernel, Motion, motions
from vpinn.finite_elements.newton import solver
from vpinn.finite_elements.solution import FiniteElementSolution, relative_errors
from vpinn.finite_elements.solve import LARGEST, check, lowest_degree, rule_degree, solve_fem

__all__ = [
    "LARGEST",
    "Assembler",
    "Contact",
    "FiniteElementSolution",
    "Kernel",
    "Level",
    "MixedSpace",
    "Motion",
    "assemble",
    "boundary_values",
    "check",
    "check_balance",
    "coefficients",
    "condition_points",
    "key_of",
    "linearised",
    "lower",
    "lowest_degree",
    "motions",
    "relative_errors",
    "rule_degree",
    "solve_fem",
    "solver",
    "support_values",
    "terms_at",
]
