"""vpinn: partial differential equations solved with variational physics-informed networks.

    problem file ─ read_problem → Case ─ solve → Solution ─ export, evaluate, errors

| package or module | input → output |
|---|---|
| `workers` | processes that share the quadrature points, on torch.distributed |
| `metrics` | what was done, how accurate it is, what it took → metrics.json |
| `registry` | names of samplers, methods, activations and shapes of others |
| `domain` | shape or mesh file → mesh, quadrature points as a lazy data set, finite element spaces |
| `problem` | TOML and UFL text → `Case`: a `Problem`, which is mathematics, with the settings of its solution |
| `forms` | UFL expressions → tapes: lists of instructions that torch evaluates at all points at once |
| `trial` | problem → network, and the unknowns as expressions of it |
| `objective` | problem and trial space → J(θ) and ∇J(θ), over all points or over drawn ones |
| `finite_elements` | problem → its solution by continuous Lagrange elements |
| `sampling` | quadrature points → mini-batches with unbiased weights |
| `features` | objective → the combination of random features with the least residual |
| `dimensions` | problem in many dimensions → sum of functions of few coordinates each |
| `optimization` | objective and plan → trained parameters θ |
| `noise` | objective and samplers → statistics of mini-batch gradients, measured and by theory |
| `solution`, `analysis` | parameters → fields, errors, error estimate |
| `march` | problem in time → field over space and time |
| `eigen` | eigenproblem → eigenvalues with error estimates, and modes |
| `families` | problem with parameters → reduced space that answers for all of them, with bounds |
| `learning` | members of a family → weights and features that further members start from |
| `inference` | problem and measurements → unknown numbers and coefficient fields, with deviations |
| `output` | solution → files, figures, tables |
| `solving` | problem → the strategy that solves it, and the run with its folder |
| `comparison` | problem file and variants → runs over several seeds, compared at equal time and at equal accuracy |
| `testing` | contracts that a sampler or activation of others can be tested with |
| `cli` | command line → the functions above |

A module imports only from rows above its own. torch and matplotlib are loaded when they are first needed.

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
    from vpinn.problem import Case, Problem, make_problem, read_problem
    from vpinn.registry import register
    from vpinn.solution import Solution
    from vpinn.solving import Event, JsonLines, TensorBoard, load
    from vpinn.solving.published import solve

_LAZY = {
    "Case": "vpinn.problem",
    "Problem": "vpinn.problem",
    "Solution": "vpinn.solution",
    "load": "vpinn.solving.loaded",
    "make_problem": "vpinn.problem",
    "read_problem": "vpinn.problem",
    "register": "vpinn.registry",
    "solve": "vpinn.solving.published",
    "Event": "vpinn.solving.events",
    "JsonLines": "vpinn.solving.logs",
    "TensorBoard": "vpinn.solving.logs",
    "solve_fem": "vpinn.finite_elements",
}

__all__ = [
    "Case",
    "DivergenceError",
    "Event",
    "InputError",
    "JsonLines",
    "Problem",
    "Solution",
    "StorageError",
    "TensorBoard",
    "VpinnError",
    "load",
    "make_problem",
    "read_problem",
    "register",
    "solve",
    "solve_fem",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'vpinn' has no attribute {name!r}")
