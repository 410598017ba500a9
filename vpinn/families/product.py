"""The inner product X in which a family is measured: the energy of its middle member if that is coercive, else H¹ and L².

Dual norms ‖r‖ = sup r(v)/‖v‖ are those of X⁻¹ r, from one factorisation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.factors import ON_DIAGONAL, SparseFactors
from vpinn.families.elements import Assembled, Discretisation
from vpinn.finite_elements import integrands, lower
from vpinn.finite_elements.form import offsets
from vpinn.problem import member

Array = NDArray[np.float64]
SYMMETRIC = 1e-10
"""Largest entry of a matrix minus its transpose, relative to its largest entry, up to which it counts as symmetric."""


@dataclass(frozen=True, eq=False)
class Product:
    """An inner product of the free functions.

    Attributes:
        matrix: X, sparse and symmetric positive definite [free, free].
        whole: X of all functions, sparse [mixed.size, mixed.size].
        solve: function r ↦ X⁻¹ r for r [free] or [free, n].
        energy: whether it is the energy of the middle member, whose form is symmetric.
    """

    matrix: Any
    whole: Any
    solve: Callable[[Array], Array]
    energy: bool

    @classmethod
    def of(cls, assembled: Assembled, theta: Array, energy: bool | None = None) -> Product:
        """Return the inner product of a family.

        Args:
            assembled: its form.
            theta: factors of the middle member [K].
            energy: whether it is that of the middle member; None: if that is symmetric and positive.
        """
        if energy is not False:
            matrix = assembled.matrix(theta)
            gap = abs(matrix - matrix.T).max()
            if gap <= SYMMETRIC * abs(matrix).max():
                solve = positive(matrix)
                if solve is not None:
                    whole = sum(theta[k] * assembled.matrices[k] for k in assembled.acting)
                    return cls(matrix, whole, solve, True)
        whole, free = sobolev(assembled.elements), assembled.elements.free
        matrix = whole[free][:, free]
        solve = positive(matrix)
        assert solve is not None
        return cls(matrix, whole, solve, False)


def sobolev(elements: Discretisation) -> Any:
    """Return the sum over components of H¹ products, or of L² products for multipliers, sparse [mixed.size, mixed.size]."""
    from scipy.sparse import block_diag

    problem, mixed = elements.problem, elements.mixed
    parts = integrands(member(problem, problem.ranges.center))
    less = lower(offsets(problem)[-1], [pair for part in parts for pair in part.slopes], problem.symbols.dimension)
    made = {(space.degree, one): space.mass() if one else space.gram() for space, one in zip(mixed.spaces, less, strict=True)}
    return block_diag([made[space.degree, one] for space, one in zip(mixed.spaces, less, strict=True)], format="csc")


def positive(matrix: Any) -> Callable[[Array], Array] | None:
    """Return the solver of a sparse symmetric matrix; None if it is not positive definite.

    Without pivoting, the pivots are those of LDLᵀ, whose signs are those of the eigenvalues (Sylvester's law of inertia).
    """
    try:
        factors = SparseFactors(matrix.tocsc(), **ON_DIAGONAL)
    except RuntimeError:
        return None
    pivots = factors.pivots
    return factors.solve if pivots is not None and (pivots > 0.0).all() else None
