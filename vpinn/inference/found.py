"""The problem with what was inferred in its place: an ordinary problem, whose further unknowns are the fields that were found."""

# mypy: disable-error-code="no-untyped-call, no-any-return"
# UFL's constructors carry no annotations.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import ufl
from numpy.typing import NDArray

from vpinn.domain import LagrangeSpace, Points
from vpinn.inference.basis import Basis
from vpinn.inference.posterior import Posterior
from vpinn.problem import Problem, Stated, Unknown, Weak, substituted
from vpinn.trial import Trial, elements_trial

Array = NDArray[np.float64]
DEVIATION = "_deviation"
"""What is added to the name of a field for that of its standard deviation."""


@dataclass(frozen=True, eq=False)
class CosineField:
    """A sum of cosines as a known field.

    Attributes:
        basis: the cosines.
        coefficients: of each [count].
    """

    basis: Basis
    coefficients: Array

    def jets(self, points: Points, order: int) -> dict[tuple[int, ...], Array]:
        """Return the value under () and, for order ≥ 1, the first derivatives under (i,), [n] each."""
        found: dict[tuple[int, ...], Array] = {(): self.basis.values(points.x) @ self.coefficients}
        for axis in range(points.x.shape[1] if order else 0):
            found[(axis,)] = self.basis.slopes(points.x, axis) @ self.coefficients
        return found


def found_problem(problem: Stated, margin: float, coefficients: Mapping[str, Sequence[float]]) -> tuple[Stated, Stated]:
    """Return the problem with what was inferred, and the same with the fields and their deviations as further unknowns.

    Args:
        problem: the inverse problem.
        margin: of the boxes of fields, see ``Basis``.
        coefficients: of each unknown number or field, by name.
    """
    inverse, symbols = problem.inverse, problem.symbols
    mesh = problem.domain.with_cells()
    assert inverse is not None
    values = dict[Any, Any]()
    for one in inverse.inferred:
        own = np.asarray(coefficients[one.name], dtype=np.float64)
        if one.field:
            values[one.symbol] = symbols.known(one.name, CosineField(Basis.of(mesh, True, margin), own))
        else:
            values[one.symbol] = float(own[0])
    plain = replace(substituted(problem, values), inverse=None)
    images = {symbol: ufl.as_ufl(value) for symbol, value in values.items()}
    data = tuple(replace(one, what=ufl.replace(one.what, images)) for one in inverse.data)
    unknowns, exact = list(problem.unknowns), dict(plain.exact)
    terms = [plain.variation]
    dx = ufl.Measure("dx", domain=symbols.mesh)
    for one in inverse.fields:
        for name, value in ((one.name, ufl.replace(one.expression, images)), (one.name + DEVIATION, ufl.as_ufl(0.0))):
            test = symbols.test_function((), len(unknowns))
            unknowns.append(Unknown(name, f"v_{name}", (), symbols.coefficient(), test))
            terms.append((unknowns[-1].function - value) * test * dx)
    exact |= {one.name: inverse.exact[one.name] for one in inverse.fields if one.name in inverse.exact}
    shown = replace(plain, exact=exact, inverse=replace(inverse, data=data))
    if len(terms) > 1:
        form = terms[0]
        for term in terms[1:]:
            form = form + term
        shown = replace(shown, unknowns=tuple(unknowns), formulation=Weak(form))
    return plain, shown


def found_trial(shown: Problem, space: LagrangeSpace, solution: Array, posterior: Posterior) -> Trial:
    """Return the trial space of a solution and of the fields that were found.

    Args:
        shown: the second problem of ``found_problem``.
        space: elements of the solution.
        solution: its coefficients [components, space.size].
        posterior: the fields.
    """
    rows = [solution]
    for one in posterior.forward.inverse.fields:
        rows.append(np.stack(posterior.field(one.name, space.locations())))
    return elements_trial(shown, space, np.concatenate(rows))
