"""The reduced space of a family: a member's solution as a combination of few functions, with a bound of its error.

All that a query needs are arrays whose sizes depend on the numbers of functions and terms, not on the mesh. With functions z_j,
the first L of which have prescribed shares c_j(μ), the residual is r = Σ_k θ_k f_k + Σ_k,j θ_k c_j A_k z_j. Its dual norm in an
inner product X is ‖T b‖, where b has the numbers θ_k and θ_k c_j, and the columns of T are the representatives of the functionals
in an orthonormal basis (Buhr, Engwer, Ohlberger & Rave, 2014: no cancellation, unlike with squares of norms). The functionals are
taken on elements two degrees higher than those of the z_j, so that the norm sees the error of both; what these miss of prescribed
values is added.

With α(μ) ≤ inf sup a(u, v; μ)/(‖u‖ ‖v‖) the error in X is at most ‖r‖/α. If the form is symmetric and X the energy of the middle
member, the error in the member's own energy is at most ‖r‖/√α, which is closer to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.errors import InputError
from vpinn.families.factors import FormFactors

Array = NDArray[np.float64]
ARRAYS = ("acting", "matrices", "sources", "products", "represented", "represented_sources", "tried", "gaps")
"""Attributes that are kept as arrays."""
TINY = 1e-300
"""What norms are at least where one divides by them."""


@dataclass(frozen=True, eq=False)
class Queried:
    """Solutions of S members in the reduced space.

    Attributes:
        shares: c_j of all functions [S, L + N].
        residual: dual norms of the residuals [S], in units of the form over those of X.
        stability: lower estimates α of the stability of their forms [S], dimensionless where X is an energy.
        error: bounds of the errors [S], in units of ``norm``.
        norm: norms of the solutions [S]: of the member's own energy where X is an energy, else of X.
    """

    shares: Array
    residual: Array
    stability: Array
    error: Array
    norm: Array

    @property
    def relative(self) -> Array:
        """Bounds of the errors relative to the solutions [S], dimensionless."""
        return self.error / np.maximum(self.norm, TINY)


@dataclass(frozen=True, eq=False)
class ReducedSpace:
    """The reduced space of a family: L functions with prescribed shares, N others, K terms.

    Attributes:
        factors: θ(μ) and the shares of the L functions.
        acting: terms whose A_k is not zero, as those of sources are [A].
        matrices: A_k z_j tested with all functions, of these terms [A, L + N, L + N].
        sources: f_k tested with them [K, L + N].
        products: products of all functions in X [L + N, L + N].
        represented: T of A_k z_j, with R orthonormal functionals [R, A, L + N].
        represented_sources: T of f_k [R, K].
        tried: T of A_k times an orthonormal basis of functions and least stable modes [R, A, n].
        gaps: products of what the functions with prescribed shares miss of the prescribed values [A or 1, L, L], in X or, where
            X is an energy, by the terms of the member's own.
        energy: whether X is the energy of the middle member and the form symmetric.
        coercive: whether all θ_k are positive and all A_k positive semidefinite, so that θ bounds α from below.
        middle: θ of the middle member [K].
    """

    factors: FormFactors
    acting: NDArray[np.int64]
    matrices: Array
    sources: Array
    products: Array
    represented: Array
    represented_sources: Array
    tried: Array
    gaps: Array
    energy: bool
    coercive: bool
    middle: Array

    @property
    def size(self) -> int:
        """Number L + N of functions."""
        return len(self.products)

    @property
    def lifts(self) -> int:
        """Number L of functions with prescribed shares."""
        return int(self.gaps.shape[1])

    def solve(self, values: Array) -> Queried:
        """Return the solutions of S members [S, P].

        Raises:
            InputError: the system of a member is singular.
        """
        theta, held = self.factors(values)
        acting = theta[:, self.acting]
        lifts = held.shape[1]
        systems = np.tensordot(acting, self.matrices, 1)  # [S, L + N, L + N]
        right = -theta @ self.sources[:, lifts:] - np.einsum("snl,sl->sn", systems[:, lifts:, :lifts], held)
        try:
            found = np.linalg.solve(systems[:, lifts:, lifts:], right[..., None])[..., 0]
        except np.linalg.LinAlgError:
            worst = int(np.linalg.slogdet(systems[:, lifts:, lifts:])[1].argmin())
            told = ", ".join(f"{value:.6g}" for value in values[worst])
            text = f"the member at parameters {told} has a singular system; narrow the ranges in [parameters]"
            raise InputError(text) from None
        shares = np.concatenate([held, found], axis=1)
        applied = np.tensordot(acting, self.represented, ([1], [1]))  # [S, R, L + N]
        residual = theta @ self.represented_sources.T + np.einsum("srj,sj->sr", applied, shares)
        norms = np.linalg.norm(residual, axis=1)
        stability = self.stability(values)
        if self.energy:
            own = np.einsum("si,sij,sj->s", shares, systems, shares)
            gaps = np.tensordot(acting, self.gaps, 1)
        else:
            own = np.einsum("si,ij,sj->s", shares, self.products, shares)
            gaps = np.broadcast_to(self.gaps, (len(theta), lifts, lifts))
        missed = np.sqrt(np.maximum(np.einsum("si,sij,sj->s", held, gaps, held), 0.0))
        error = norms / (np.sqrt(stability) if self.energy else stability) + missed
        return Queried(shares, norms, stability, error, np.sqrt(np.maximum(own, 0.0)))

    def stability(self, values: Array) -> Array:
        """Return lower estimates of the stability of members [S], from the values of their parameters [S, P].

        Where θ bounds it, α = min θ_k/θ_k(middle). Elsewhere it is the smallest singular value on the functions of the reduced
        space and the least stable modes of its members, which the least stable mode of a member between them resembles.
        """
        theta = self.factors(values)[0][:, self.acting]
        if self.coercive:
            return np.asarray((theta / self.middle[self.acting]).min(axis=1))
        applied = np.tensordot(theta, self.tried, ([1], [1]))  # [S, R, n]
        squares = np.swapaxes(applied, 1, 2) @ applied
        return np.asarray(np.sqrt(np.maximum(np.linalg.eigvalsh(squares)[:, 0], TINY)))

    def arrays(self) -> dict[str, Any]:
        """Return what ``restored`` takes, but for the factors."""
        return {name: getattr(self, name) for name in (*ARRAYS, "middle")} | {"kind": np.array([self.energy, self.coercive])}

    @classmethod
    def restored(cls, factors: FormFactors, arrays: Mapping[str, Any]) -> ReducedSpace:
        """Return the space that arrays describe."""
        energy, coercive = map(bool, arrays["kind"])
        known = {name: arrays[name] for name in ARRAYS}
        return cls(factors=factors, energy=energy, coercive=coercive, middle=arrays["middle"], **known)
