"""vpinn: partial differential equations solved with variational physics-informed networks.

    problem file ─ read_problem → Problem ─ solve → Solution ─ export, evaluate, errors

| stage | input → output |
|---|---|
| `domain` | shape or mesh file → mesh, quadrature points (computed when drawn), finite element spaces |
| `problem` | TOML and UFL text → `Problem` |
| `forms` | UFL → tapes that torch evaluates for all points at once |
| `trial` | problem → network, and the unknowns as expressions of it that satisfy boundary conditions |
| `objective` | problem and trial → J(θ) and ∇J(θ), over all quadrature points or a mini-batch |
| `finite_elements` | problem → its solution in continuous Lagrange elements, as a reference |
| `sampling` | quadrature points → mini-batches with weights that keep integrals unbiased |
| `features` | problem → least squares on random features, and solution by elements, without training steps |
| `optimization` | objective and plan → trained parameters |
| `noise` | objective and samplers → statistics of mini-batch gradients, measured and predicted |
| `solution`, `analysis` | parameters → fields, errors, error estimate |
| `march` | problem in time → its solution, by time stepping |
| `output`, `solving` | solution → files, figures, tables; problem → a whole run |
| `comparison` | problem file and variants → runs over seeds, at equal time and at equal accuracy |
| `cli` | the command line |

A module imports only from rows above its own. Modules that need torch are imported when a name of theirs is first used.

Example:
    >>> import vpinn
    >>> problem = vpinn.make_problem(
    ...     {"shape": "interval", "cells": 8}, unknowns={"u": "scalar"}, energy="0.5*inner(grad(u), grad(u))*dx - u*dx",
    ...     boundary=[{"on": "all", "value": 0}], network={"layers": [8]}, solver={"steps": 200},
    ... )
    >>> solution = vpinn.solve(problem)
    >>> bool(abs(solution.evaluate([[0.5]])["u"][0] - 0.125) < 1e-4)  # u = x(1 − x)/2
    True
"""

import os
import sys

if sys.argv[:1] == ["-m"] and not sys.flags.safe_path and sys.path[0] != os.path.dirname(os.path.dirname(__file__)):
    del sys.path[0]  # ``python -m vpinn``: never import modules from the working directory, it holds user files

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vpinn.errors import DivergenceError, InputError, StorageError, VpinnError

if TYPE_CHECKING:
    from vpinn.finite_elements import solve_fem
    from vpinn.problem import Problem, make_problem, read_problem
    from vpinn.solution import Solution
    from vpinn.solving import load, solve

_LAZY = {
    "Problem": "vpinn.problem",
    "Solution": "vpinn.solution",
    "load": "vpinn.solving.run",
    "make_problem": "vpinn.problem",
    "read_problem": "vpinn.problem",
    "solve": "vpinn.solving.run",
    "solve_fem": "vpinn.finite_elements",
}

__all__ = [
    "DivergenceError",
    "InputError",
    "Problem",
    "Solution",
    "StorageError",
    "VpinnError",
    "load",
    "make_problem",
    "read_problem",
    "solve",
    "solve_fem",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'vpinn' has no attribute {name!r}")
