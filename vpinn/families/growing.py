"""A reduced space while it grows: every new function brings its products, and its functionals in the orthonormal basis.

Functions are orthonormal in X, by Gram–Schmidt twice, and so are the representatives of functionals.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vpinn.families.elements import Assembled
from vpinn.families.factors import FormFactors
from vpinn.families.product import Product, positive
from vpinn.families.reduced import ReducedSpace
from vpinn.finite_elements.essential import extended

Array = NDArray[np.float64]
DEPENDENT = 1e-10
"""What is left of a function beside the others, relative to its norm, up to which it adds nothing."""
ROUNDED = 1e-12
"""What is left of a functional beside the others, relative to its norm, up to which it is rounding."""
PASSES = 4
"""Times that a functional is made orthogonal to the others at most; more than twice only where nearly all of it cancels."""
SHIFT = 1e-10
"""Share of X that is added to A_k, relative to its size, when its sign is looked at."""


class Orthonormal:
    """Representatives of functionals on the test elements, orthonormal in X.

    Args:
        product: inner product X of the free test functions.
    """

    def __init__(self, product: Product) -> None:
        self._product = product
        self._room, self._images = np.empty((2, 16, product.matrix.shape[0]))  # of functions and of X times these
        self.size = 0

    def add(self, functionals: Array) -> Array:
        """Return the coefficients [R, n] of functionals [free, n], after the basis has grown by what it lacked of them."""
        found = np.zeros((self.size + functionals.shape[1], functionals.shape[1]))
        solved = self._product.solve(np.ascontiguousarray(functionals))
        for column, (functional, one) in enumerate(zip(functionals.T, solved.T, strict=True)):
            whole = float(np.sqrt(max(functional @ one, 0.0)))
            shares, left, size = self._apart(one, whole)
            found[: self.size, column] = shares
            if size > ROUNDED * whole:
                self._append(left / size)
                found[self.size - 1, column] = size
        return found[: self.size]

    def _apart(self, function: Array, size: float) -> tuple[Array, Array, float]:
        """Return shares of the basis in a function, what is left of it, and its norm; again where much cancelled."""
        basis, images = self._room[: self.size], self._images[: self.size]
        shares = np.zeros(self.size)
        left = function
        for _ in range(PASSES):
            before = size
            found = images @ left
            left, shares = left - found @ basis, shares + found
            size = float(np.sqrt(max(left @ (self._product.matrix @ left), 0.0)))
            if size > 0.5 * before:
                break
        return shares, left, size

    def _append(self, function: Array) -> None:
        if self.size == len(self._room):
            self._room, self._images = (np.concatenate([one, np.empty_like(one)]) for one in (self._room, self._images))
        self._room[self.size], self._images[self.size] = function, self._product.matrix @ function
        self.size += 1


class GrowingSpace:
    """A reduced space that grows function by function.

    Args:
        factors: factors of the form.
        middle: θ of the middle member [K].
        coarse: the form on the elements of the functions.
        fine: the form on the elements that residuals are tested with.
        product: X on the latter.
        coercive: whether θ bounds the stability, as was found on other elements; None: it is found out.

    Attributes:
        functions: all functions, those with prescribed shares first [L + N, coarse size].
    """

    def __init__(
        self,
        factors: FormFactors,
        middle: Array,
        coarse: Assembled,
        fine: Assembled,
        product: Product,
        coercive: bool | None = None,
    ) -> None:
        self.factors = factors
        self.coarse, self.fine = coarse, fine
        self.product = product
        self._middle = middle
        self._matrices_at = [fine.matrices[k] for k in fine.acting]
        self.functions = np.empty((0, coarse.elements.mixed.size))
        self._raised = np.empty((0, fine.elements.mixed.size))
        self._tests = Orthonormal(product)
        self._coefficients: list[Array] = []  # of the functionals of every function [R, K], R at the time
        self._modes: list[tuple[Array, Array]] = []  # modes on the finer elements, and coefficients of their functionals
        self._sources = self._tests.add(np.ascontiguousarray(fine.sources[:, fine.elements.free].T))
        self._matrices = np.empty((len(fine.acting), 0, 0))
        self._loads = np.empty((len(middle), 0))
        self.coercive = product.energy and (self._signs() if coercive is None else coercive)
        gaps = [self._lift(*pair) for pair in zip(coarse.elements.lifts, fine.elements.lifts, strict=True)]
        self._gaps = np.stack(gaps) if gaps else np.empty((0, fine.elements.mixed.size))

    def _signs(self) -> bool:
        """Return whether θ of the middle member is positive and all A_k positive semidefinite, up to rounding."""
        own = self.coarse.matrix(self._middle)
        acting = self.coarse.acting
        if not (self._middle[acting] > 0.0).all():
            return False
        parts = (self._middle[k] * self.coarse.held[k] + SHIFT * own for k in acting)
        return all(positive(part.tocsc()) is not None for part in parts)

    def _lift(self, lift: Array, finer: Array) -> Array:
        """Add a function with prescribed values, and return what it misses of these on the finer elements [fine size]."""
        elements = self.fine.elements
        raised = self.coarse.elements.mixed.raised(lift, elements.mixed)
        missed = np.where(elements.given, finer - raised, 0.0)
        gap = extended(elements.mixed, missed, elements.given) if missed.any() else missed
        self._append(lift, raised + gap)
        return gap

    def _products_of_gaps(self) -> Array:
        """Return the products of what lifts miss: A_k if X is an energy [A, L, L], else X itself [1, L, L]."""
        forms = self._matrices_at if self.product.energy else [self.product.whole]
        return np.stack([self._gaps @ (form @ self._gaps.T) for form in forms])

    def add(self, function: Array, mode: Array | None = None) -> bool:
        """Add a function [coarse size], and the least stable mode of a member; return whether the function was new."""
        if mode is not None:
            raised = self.coarse.elements.mixed.raised(mode, self.fine.elements.mixed)
            self._modes.append((raised, self._tests.add(self._functionals(raised))))
        raised = self.coarse.elements.mixed.raised(function, self.fine.elements.mixed)
        lifts = len(self.coarse.elements.lifts)
        normal, shares, left = self._normal(raised, range(lifts, len(self._raised)))
        if left <= DEPENDENT:
            return False
        scale = shares[-1]
        own = (function - shares[:-1] @ self.functions[lifts:]) / scale
        self._append(own, normal)
        return True

    def _normal(self, function: Array, others: range) -> tuple[Array, Array, float]:
        """Return a function made orthonormal to others, the shares of these and its own scale, and what was left of it."""
        whole = self.product.whole
        basis = self._raised[others.start : others.stop]
        before = float(np.sqrt(function @ (whole @ function)))
        left = function.copy()
        shares = np.zeros(len(basis))
        for _ in range(2):
            found = basis @ (whole @ left)
            left, shares = left - found @ basis, shares + found
        scale = float(np.sqrt(max(left @ (whole @ left), 0.0)))
        return left / max(scale, 1e-300), np.append(shares, scale), scale / max(before, 1e-300)

    def _append(self, function: Array, raised: Array) -> None:
        """Add a function, on both elements, with its products and functionals."""
        fine = self.fine
        self.functions = np.concatenate([self.functions, function[None]])
        self._raised = np.concatenate([self._raised, raised[None]])
        images = np.stack([matrix @ raised for matrix in self._matrices_at])  # A_k z [A, fine size]
        grown = np.zeros((len(images), len(self._raised), len(self._raised)))
        grown[:, :-1, :-1] = self._matrices
        grown[:, :, -1] = images @ self._raised.T
        grown[:, -1, :-1] = np.stack([self._raised[:-1] @ (matrix.T @ raised) for matrix in self._matrices_at])
        self._matrices = grown
        self._loads = np.concatenate([self._loads, (fine.sources @ raised)[:, None]], axis=1)
        self._coefficients.append(self._tests.add(np.ascontiguousarray(images[:, fine.elements.free].T)))

    def _functionals(self, raised: Array) -> Array:
        """Return A_k z tested with the free functions, for a function z on the finer elements [free, A]."""
        return np.stack([(matrix @ raised)[self.fine.elements.free] for matrix in self._matrices_at], axis=1)

    @property
    def space(self) -> ReducedSpace:
        """The reduced space as it is."""
        sources = np.zeros((self._tests.size, len(self._middle)))
        sources[: len(self._sources)] = self._sources
        return ReducedSpace(
            factors=self.factors,
            acting=self.fine.acting,
            matrices=self._matrices,
            sources=self._loads,
            products=self._raised @ (self.product.whole @ self._raised.T),
            represented=self._filled(self._coefficients),
            represented_sources=sources,
            tried=self._tried(),
            gaps=self._products_of_gaps(),
            energy=self.product.energy,
            coercive=self.coercive,
            middle=self._middle,
        )

    def _filled(self, parts: Sequence[Array]) -> Array:
        """Return coefficients of functionals, each of the rank at its time, as one array [R, K, n]."""
        found = np.zeros((self._tests.size, len(self._matrices), len(parts)))
        for j, part in enumerate(parts):
            found[: len(part), :, j] = part
        return found

    def _tried(self) -> Array:
        """Return the functionals of an orthonormal basis of functions and modes [R, K, n]; none where θ bounds the stability."""
        if self.coercive:
            return self._filled([])
        lifts = len(self.coarse.elements.lifts)
        raised = np.concatenate([self._raised[lifts:], *(mode[None] for mode, _ in self._modes)])
        parts = self._filled([*self._coefficients[lifts:], *(coefficients for _, coefficients in self._modes)])
        squares, vectors = np.linalg.eigh(raised @ (self.product.whole @ raised.T))
        kept = squares > DEPENDENT * squares.max(initial=0.0)
        return np.asarray(parts @ (vectors[:, kept] / np.sqrt(squares[kept])))
