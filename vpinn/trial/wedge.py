"""Singular solutions r^λ Φ(θ) of ∇·(A∇u) = 0 in a sector, for constant A and any number of components.

If det A(ν, ν) = 0 for ν = (1, p) with Im p > 0, then u = a z^λ with z = x + py solves the equation for a suitable vector a. If
several roots p coincide, as for isotropic elasticity, there are also terms y^j z^(λ−j) (Lekhnitskii 1963; Stroh 1958, Phil. Mag.
3, 625–646). An invariant pair (X, J) of the quadratic pencil, A₁₁X + (A₁₂ + A₂₁)XJ + A₂₂XJ² = 0, covers all cases:
u = X (x + yJ)^λ c. Approximate exponents λ come from a quadratic eigenvalue problem, by Galerkin's method with polynomials of θ
(Leguillon & Sanchez-Palencia 1987). Newton's method then improves them until the conditions on the two sides of the sector hold
for some c ≠ 0. Start with `solutions`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray
from scipy.linalg import eigvals, null_space, qr, schur, svd

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

WHOLE = 1e-6
"""Distance to an integer below which an exponent counts as that integer (then solutions without logarithm are smooth)."""
DEGREE = 40
"""Polynomial degree of Φ in Galerkin's method."""
CLOSE = 1e-4
"""Distance below which roots p count as equal; rounding splits threefold roots by about 1e-5."""
SMALLEST = 1e-3
"""Smallest real part of an exponent; excludes constants, whose exponent is zero."""
SAME = 1e-7
"""Distance below which exponents count as equal, and ratio to the largest singular value below which one counts as zero."""
POLISHING = 8
"""Largest number of Newton steps for an exponent."""
DIFFERENCE = 1e-4
"""Step of the difference quotient for the derivative by λ in Newton's method; it does not change the exponents found."""
SMALL = 1e-8
"""Determinant of A(ν, ν), for A with a largest entry of one, below which it counts as singular."""
REAL = 1e-6
"""Imaginary part of a root p, relative to 1 + |p|, below which it counts as real; rounding splits double roots by about 1e-8."""
NOTHING = 1e-13
"""Factor of a term, relative to the size of the function, below which it counts as rounding."""

Term = tuple[complex, int, complex, int]
"""p, j, q and m of a term y^j z^q (ln z)^m with z = x + py."""


@dataclass(frozen=True)
class WedgeSolution:
    """A real solution Re Σ s y^j z^q (ln z)^m with z = x + py, in a sector whose bisector is the x axis.

    Attributes:
        exponent: λ with Re λ > 0 and Im λ ≥ 0; if Im λ > 0 there are two real solutions for each complex one.
        logarithm: whether the solution has the form r^λ (Φ ln r + Ψ), a derivative by λ.
        terms: p, j, q and m of every term [terms].
        shares: factors s [terms][components].
    """

    exponent: complex
    logarithm: bool
    terms: tuple[Term, ...]
    shares: tuple[tuple[complex, ...], ...]

    @property
    def moved(self) -> tuple[bool, ...]:
        """For every component, whether the solution is not zero there."""
        return tuple(any(abs(share) > 0.0 for share in part) for part in zip(*self.shares, strict=True))


@dataclass(frozen=True)
class Root:
    """Solutions X (x + yJ)^λ of a root p of multiplicity m, with J = p + N and N nilpotent; n is the number of components.

    Attributes:
        p: the root, Im p > 0.
        shapes: X [n, m].
        step: N [m, m].
    """

    p: complex
    shapes: Complex
    step: Complex

    def factor(self, power: complex, x: float, y: float) -> Complex:
        """Return (x + yJ)^power [m, m]."""
        z, result = complex(x + self.p * y), np.zeros(self.step.shape, complex)
        for j in range(len(self.step)):
            result += _binomial(power, j) * z ** (power - j) * y**j * np.linalg.matrix_power(self.step, j)
        return result


def is_elliptic(tensor: Array) -> bool:
    """Return whether the matrix A(ν, ν) is regular for every direction ν, beyond rounding; ``tensor`` is A as for ``solutions``.

    The determinant is evaluated at 64 directions of ν; if it touches zero between these, a root p is real.
    """
    angle = np.linspace(0.0, np.pi, 64, endpoint=False)
    normal = np.stack([np.cos(angle), np.sin(angle)])
    if not np.isfinite(tensor).all() or not tensor.any():
        return False
    found = np.linalg.det(np.einsum("at,iakb,bt->tik", normal, tensor / np.abs(tensor).max(), normal))
    if np.abs(found).min() <= SMALL or np.ptp(np.sign(found)) != 0.0:
        return False
    roots, merged = eigvals(_pencil(tensor / np.abs(tensor).max())), _roots(tensor / np.abs(tensor).max())
    apart = (np.abs(roots.imag) > REAL * (1.0 + np.abs(roots))).all()
    return bool(apart) and sum(len(root.step) for root in merged) == len(tensor)


def solutions(
    tensor: Array, angle: float, held: tuple[tuple[bool, ...], tuple[bool, ...]], highest: float
) -> tuple[WedgeSolution, ...]:
    """Return all solutions with exponents up to a bound, smallest exponent first.

    For integer exponents, whose solutions are smooth, the solutions with a logarithm are returned instead.

    Args:
        tensor: A [n, 2, n, 2] of the elliptic form ∫ A[i, a, k, b] ∂_b u_k ∂_a v_i.
        angle: angle ω of the sector −ω/2 < θ < ω/2, in radians, 0 < ω ≤ 2π.
        held: for the side θ = −ω/2 and the side θ = ω/2, whether each component vanishes there; otherwise its conormal
            derivative vanishes.
        highest: largest real part of the exponents.
    """
    tensor = tensor / np.abs(tensor).max()
    sector, found = _Sector(tensor, angle, held), list[complex]()
    for start in _starts(tensor, angle, held):
        if SMALLEST < start.real <= highest + WHOLE and start.imag >= -SAME:
            exponent = sector.polished(start)
            if all(abs(exponent - other) > SAME for other in found):
                found.append(exponent)
    found.sort(key=lambda value: (value.real, value.imag))
    return tuple(one for exponent in found for one in sector.functions(exponent))


class _Sector:
    """A sector with the conditions on its two sides; arguments as for ``solutions``."""

    def __init__(self, tensor: Array, angle: float, held: tuple[tuple[bool, ...], tuple[bool, ...]]) -> None:
        self._tensor, self._angle = tensor, angle
        self._held, self._roots = np.array(held), _roots(tensor)

    def polished(self, start: complex) -> complex:
        """Return the exponent near an approximation, by Newton's method for D(λ)x = 0 (Ruhe 1973)."""
        power = start
        for _ in range(POLISHING):
            slope = (self._conditions(power + DIFFERENCE) - self._conditions(power - DIFFERENCE)) / (2 * DIFFERENCE)
            steps = eigvals(self._conditions(power), -slope)
            steps = steps[np.isfinite(steps)]
            step = complex(steps[np.argmin(np.abs(steps))])
            power += step
            if abs(step) <= 1e-15:
                break
        if abs(power.imag) <= SAME:
            power = complex(power.real)
        whole = round(power.real)
        return complex(whole) if abs(power - whole) < WHOLE else power

    def functions(self, exponent: complex) -> Iterator[WedgeSolution]:
        """Yield a basis of the real solutions with exponent λ: twice as many functions if λ is complex."""
        n, real = self._tensor.shape[0], exponent.imag == 0.0
        conditions = self._conditions(exponent)
        scale = np.linalg.norm(conditions, axis=0)
        _, sizes, right = svd(conditions / scale)
        null = right[sizes <= SAME * sizes[0]].conj() / scale if len(right) else right
        pairs = [(c, d.conj()) for c, d in zip(null[:, :n], null[:, n:], strict=True)]
        pairs += [(-1j * c, 1j * d) for c, d in pairs]
        if real and pairs:
            pairs = [(c, np.zeros(n)) for c in _independent(np.array([c + d for c, d in pairs]), len(null), self._amplitudes)]
        for c, d in pairs:
            terms = [*self._terms(exponent, c), *([] if real else self._terms(exponent.conjugate(), d))]
            size = self._sign(terms) * math.sqrt(sum(float(np.linalg.norm(share)) ** 2 for _, share in terms))
            whole = real and exponent == round(exponent.real)
            terms = [*self._slopes(exponent, c)] if whole else terms
            scaled = [(term, np.where(np.abs(share) > NOTHING * abs(size), share / size, 0.0)) for term, share in terms]
            kept = [(term, share) for term, share in scaled if share.any()]
            yield WedgeSolution(
                exponent, whole, tuple(term for term, _ in kept), tuple(tuple(map(complex, share)) for _, share in kept)
            )

    def _conditions(self, power: complex) -> Complex:
        """Return D(λ) [2n, 2n]: the values or conormal derivatives, on both sides, of X(x + yJ)^λ and of its conjugate."""
        return np.concatenate([self._half(power), self._half(power.conjugate()).conj()], axis=1)

    def _half(self, power: complex) -> Complex:
        sides = []
        for theta, held in zip((-self._angle / 2, self._angle / 2), self._held, strict=True):
            x, y = math.cos(theta), math.sin(theta)
            values, slopes = [], []
            for root in self._roots:
                values.append(root.shapes @ root.factor(power, x, y))
                slope = root.factor(power - 1, x, y)
                both = np.stack([root.shapes, root.p * root.shapes + root.shapes @ root.step])
                slopes.append(np.einsum("iakb,a,bkm->im", self._tensor, (-y, x), both @ slope))
            sides.append(np.where(held[:, None], np.concatenate(values, axis=1), np.concatenate(slopes, axis=1)))
        return np.concatenate(sides)

    def _parts(self, c: Complex) -> Iterator[tuple[Root, int, Complex]]:
        """Yield every root with every power j < m and the vector X Nʲ c [n]."""
        at = 0
        for root in self._roots:
            m = len(root.step)
            for j in range(m):
                yield root, j, root.shapes @ np.linalg.matrix_power(root.step, j) @ c[at : at + m]
            at += m

    def _terms(self, power: complex, c: Complex) -> list[tuple[Term, Complex]]:
        """Return the terms of X(x + yJ)^λ c with their factors [n]."""
        return [((root.p, j, power - j, 0), _binomial(power, j) * part) for root, j, part in self._parts(c)]

    def _slopes(self, power: complex, c: Complex) -> Iterator[tuple[Term, Complex]]:
        """Yield the terms of the derivative of X(x + yJ)^λ c by λ with their factors [n]."""
        for root, j, part in self._parts(c):
            yield (root.p, j, power - j, 1), _binomial(power, j) * part
            yield (root.p, j, power - j, 0), _binomial(power, j, True) * part

    def _amplitudes(self, c: Complex) -> Complex:
        """Return the factors of all terms for a vector c [components·terms]; they distinguish solutions of equal exponent."""
        return np.concatenate([part for _, _, part in self._parts(c)])

    def _sign(self, terms: Sequence[tuple[Term, Complex]]) -> float:
        """Return the sign of a function where, counted from the side θ = −ω/2, it first exceeds 0.3 of its maximum."""
        theta = np.linspace(-self._angle / 2, self._angle / 2, 101)
        x, y = np.cos(theta), np.sin(theta)
        values = sum(np.multiply.outer(y**j * (x + p * y) ** q, share).real for (p, j, q, _), share in terms)
        assert isinstance(values, np.ndarray)
        first = values[np.argmax(np.abs(values).max(axis=1) >= 0.3 * np.abs(values).max())]
        return float(np.sign(first[np.argmax(np.abs(first))]))


def _pencil(tensor: Array) -> Array:
    """Return the matrix [2n, 2n] whose eigenvalues are the roots p of det A(ν, ν), ν = (1, p)."""
    n, last = len(tensor), np.linalg.inv(tensor[:, 1, :, 1])
    middle, first = last @ (tensor[:, 0, :, 1] + tensor[:, 1, :, 0]), last @ tensor[:, 0, :, 0]
    return np.block([[np.zeros((n, n)), np.eye(n)], [-first, -middle]])


def _roots(tensor: Array) -> tuple[Root, ...]:
    """Return the roots p of det A(ν, ν), ν = (1, p), with Im p > 0 and their invariant pairs, equal roots merged into one."""
    n, pencil = len(tensor), _pencil(tensor)
    apart = 10 * float(np.finfo(float).eps ** 0.5 * np.linalg.cond(tensor[:, 1, :, 1]))  # rounding splits double roots by less
    close = max(CLOSE, apart)
    groups = list[list[complex]]()
    for p in sorted(map(complex, eigvals(pencil)), key=lambda p: (p.real, p.imag)):
        if p.imag > 0.0:
            near = next((group for group in groups if abs(group[0] - p) <= close), None)
            groups.append([p]) if near is None else near.append(p)
    found = []
    for group in groups:
        center = complex(np.mean(group))
        upper, vectors, count = schur(pencil, output="complex", sort=lambda p, center=center: abs(p - center) <= 2 * close)
        upper = upper[:count, :count]
        mean = complex(np.trace(upper)) / count
        mean = 1j if abs(mean - 1j) <= 1e-12 else mean
        found.append(Root(mean, vectors[:n, :count], upper - mean * np.eye(count)))
    return tuple(found)


def _starts(tensor: Array, angle: float, held: tuple[tuple[bool, ...], tuple[bool, ...]]) -> list[complex]:
    """Return approximate exponents: λ with Φ ≠ 0 and −λ²⟨ψ, A_rr Φ⟩ + λ(⟨ψ', A_θr Φ⟩ − ⟨ψ, A_rθ Φ'⟩) + ⟨ψ', A_θθ Φ'⟩ = 0.

    This is the form for r^λ Φ(θ) and the test function r^(−λ) ψ(θ), integrated over the angle. Φ and ψ are sums of Legendre
    polynomials that vanish on the sides where components are held.
    """
    n, (points, weights) = len(tensor), legendre.leggauss(DEGREE + 10)
    theta, stretch = points * angle / 2, 2 / angle
    radial, around = np.stack([np.cos(theta), np.sin(theta)]), np.stack([-np.sin(theta), np.cos(theta)])
    values: Any = legendre.legvander(points, DEGREE)
    slopes: Any = legendre.legval(points, legendre.legder(np.eye(DEGREE + 1))).T * stretch

    def integral(left: Array, test: Array, trial: Array, right: Array) -> Any:
        local = np.einsum("at,iakb,bt,t->tik", test, tensor, trial, weights / stretch)
        return np.einsum("tp,tik,tq->ipkq", left, local, right).reshape(n * (DEGREE + 1), -1)

    ends = legendre.legvander(np.array([-1.0, 1.0]), DEGREE)
    zero = [np.kron(np.eye(n)[i], ends[side]) for side in (0, 1) for i in range(n) if held[side][i]]
    free = null_space(np.array(zero)) if zero else np.eye(n * (DEGREE + 1))
    mass, stiffness = integral(values, radial, radial, values), integral(slopes, around, around, slopes)
    mixed = integral(slopes, around, radial, values) - integral(values, radial, around, slopes)
    mass, mixed, stiffness = (free.T @ matrix @ free for matrix in (mass, mixed, stiffness))
    size = len(mass)
    lower = np.linalg.solve(mass, np.concatenate([stiffness, mixed], axis=1))
    return list(map(complex, eigvals(np.concatenate([np.eye(size, 2 * size, size), lower]))))


def _independent(rows: Complex, count: int, amplitudes: Callable[[Complex], Complex]) -> Complex:
    """Return ``count`` independent real combinations of rows [k, n], each with one amplitude that is 1 and 0 in the others."""
    parts = np.array([amplitudes(row) for row in rows])
    parts = np.concatenate([parts.real, parts.imag], axis=1)
    pivots = qr(parts, mode="r", pivoting=True)[-1][:count]
    return np.linalg.pinv(parts[:, pivots]) @ rows


def _binomial(power: complex, j: int, slope: bool = False) -> complex:
    """Return the binomial coefficient of λ over j, or its derivative by λ if ``slope``."""
    polynomial = np.atleast_1d(np.poly(np.arange(j))) / math.factorial(j)
    return complex(np.polyval(np.polyder(polynomial) if slope else polynomial, power))
