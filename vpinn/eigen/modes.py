"""The modes of an eigenproblem as one solution, whose unknowns are u_1, u_2, … instead of u.

That the k-th mode belongs to λ_k is the equation a(u_k, v_k) − λ_k m(u_k, v_k) = 0, so that modes are evaluated, exported and
drawn like the unknowns of any other problem. Complex modes have two unknowns each, u_1_real and u_1_imag.
"""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import ufl
from numpy.typing import NDArray

from vpinn.domain import LagrangeSpace
from vpinn.problem import Answers, Problem, Stated, Weak
from vpinn.problem.unknown import Unknown
from vpinn.trial import Trial, elements_trial

Array = NDArray[np.float64]


def mode_problem(problem: Stated, values: Sequence[complex] | NDArray[Any]) -> Stated:
    """Return the problem whose unknowns are the modes of an eigenproblem.

    Args:
        problem: the eigenproblem.
        values: eigenvalues of the modes; where one is complex every mode has a real and an imaginary part.
    """
    eigen, parts = problem.eigen, ("_real", "_imag") if np.iscomplexobj(np.asarray(values)) else ("",)
    assert eigen is not None
    unknowns, terms = list[Unknown](), []
    fields: dict[str, Any] = {}
    for k, value in enumerate(values, 1):
        sides = []
        for part in parts:
            own = [_renamed(problem, unknown, f"_{k}{part}", len(unknowns) + at) for at, unknown in enumerate(problem.unknowns)]
            unknowns += own
            functions = {unknown.function: one.function for unknown, one in zip(problem.unknowns, own, strict=True)}
            fields |= {f"{name}_{k}{part}": ufl.replace(stated, functions) for name, stated in problem.answers.fields.items()}
            old = [function for unknown in problem.unknowns for function in (unknown.function, unknown.test)]
            sides.append((old, [function for unknown in own for function in (unknown.function, unknown.test)]))
        real, imag = float(np.real(value)), float(np.imag(value))
        for at, (old, new) in enumerate(sides):
            here = dict(zip(old, new, strict=True))
            terms += [ufl.replace(problem.variation, here), -real * ufl.replace(eigen.mass.integrals, here)]
            if imag:  # λ m of the other part: −(λ_i)(−1)^at m(u_other, v_own)
                other = [f if j % 2 == 1 else sides[1 - at][1][j] for j, f in enumerate(new)]
                terms.append((imag if at == 0 else -imag) * ufl.replace(eigen.mass.integrals, dict(zip(old, other, strict=True))))
    form = terms[0]
    for term in terms[1:]:
        form = form + term
    return replace(problem, unknowns=tuple(unknowns), formulation=Weak(form), boundary=(), eigen=None, answers=Answers(fields))


def mode_trial(problem: Problem, space: LagrangeSpace, modes: NDArray[np.complex128] | Array) -> Trial:
    """Return the trial space whose elements are the modes.

    Args:
        problem: as ``mode_problem`` returns it, on the mesh of the space.
        space: of every component of the modes.
        modes: coefficients [k, components, space.size].
    """
    rows = np.stack([modes.real, modes.imag], axis=1) if np.iscomplexobj(modes) else modes
    return elements_trial(problem, space, np.ascontiguousarray(rows.reshape(-1, space.size)))


def _renamed(problem: Problem, unknown: Unknown, ending: str, part: int) -> Unknown:
    """Return an unknown of the same shape with functions of its own."""
    symbols = problem.symbols
    function, test = symbols.coefficient(unknown.shape), symbols.test_function(unknown.shape, part)
    return replace(unknown, name=unknown.name + ending, test_name=unknown.test_name + ending, function=function, test=test)
