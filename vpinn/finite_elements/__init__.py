"""Finite elements: the form of a problem solved with continuous Lagrange elements, as a method of its own and as a reference.

In goes a `Problem` on a mesh; out comes a `FiniteElementSolution` (`solve_fem`).

1. `form`: the weak form → integrands, the coefficients of test functions as tapes. `mixed`: a polynomial degree for every
   unknown.
2. `pattern`, `local`, `assembly`: → residual vector and its sparse derivative.
3. `newton`: Newton's method, with sparse factors or, for large symmetric problems, the two-level iteration of `multilevel`.
4. `essential`: degrees of freedom prescribed by boundary values and at points.
5. `bounds`, `active_set`: obstacles and contact, and the nodes that touch them. `ties`: parts of the boundary that move as one.
6. `motions`, `level`, `balance`: rigid motions and constants that the form leaves undetermined: how they are found, fixed, and
   which balance the data must satisfy.
7. `solution`: evaluation at points, and errors. `solve`: all steps together; start reading there.
"""

from vpinn.finite_elements.assembly import Assembler, Discrete, Rule, assemble
from vpinn.finite_elements.balance import check_balance
from vpinn.finite_elements.bounds import Contact
from vpinn.finite_elements.essential import boundary_values, condition_points, extended, prescribed, support_values
from vpinn.finite_elements.form import Key, coefficients, integrands, key_of, linearised, numbered, terms_at, tests_of
from vpinn.finite_elements.level import Level
from vpinn.finite_elements.mixed import MixedSpace, lower
from vpinn.finite_elements.motions import Kernel, Motion, motions
from vpinn.finite_elements.newton import factorise, newton, solver
from vpinn.finite_elements.solution import FiniteElementSolution, relative_errors
from vpinn.finite_elements.solve import (
    LARGEST,
    check,
    degrees_of,
    discretised,
    expected_functions,
    lowest_degree,
    rule_degree,
    solve_fem,
)
from vpinn.finite_elements.ties import TiedFunctions, allowed, tied_functions
from vpinn.finite_elements.whole import Whole

__all__ = [
    "LARGEST",
    "Assembler",
    "Contact",
    "Discrete",
    "FiniteElementSolution",
    "Kernel",
    "Key",
    "Level",
    "MixedSpace",
    "Motion",
    "Rule",
    "TiedFunctions",
    "Whole",
    "allowed",
    "assemble",
    "boundary_values",
    "check",
    "check_balance",
    "coefficients",
    "condition_points",
    "degrees_of",
    "discretised",
    "expected_functions",
    "extended",
    "factorise",
    "integrands",
    "key_of",
    "linearised",
    "lower",
    "lowest_degree",
    "motions",
    "newton",
    "numbered",
    "prescribed",
    "relative_errors",
    "rule_degree",
    "solve_fem",
    "solver",
    "support_values",
    "terms_at",
    "tests_of",
    "tied_functions",
]
