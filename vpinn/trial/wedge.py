"""Solutions r^λ Φ(θ) in a sector of ∇·(A∇u) = 0 with constant A, for any number of components: exponents and functions.

Where det A(ν, ν) = 0 for ν = (1, p) with Im p > 0, every power of z = x + py solves the equation, in the right direction of
the components; where several p coincide, as for isotropic elasticity, y^j z^(λ−j) come in (Lekhnitskii 1963; Stroh 1958,
Phil. Mag. 3, 625–646). In terms of an invariant pair (X, J) of the quadratic pencil, A₁₁X + (A₁₂ + A₂₁)XJ + A₂₂XJ² = 0, that is
u = X (x + yJ)^λ c, whatever the multiplicities. The exponents are those of the quadratic eigenvalue problem in λ on the
sector's angle (Leguillon & Sanchez-Palencia 1987), by Galerkin's method with polynomials, polished by the conditions on its
two sides, which those solutions meet for some c.
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
"""Distance from a whole number at which an exponent counts as one: its functions are polynomials then, r^λ ln r is not."""
DEGREE = 40
"""Polynomial degree of the functions of the angle."""
CLOSE = 1e-4
"""Distance at which roots p count as one: rounding splits threefold ones by 1e-5."""
SMALLEST = 1e-3
"""Least real part of an exponent; constants have zero."""
SAME = 1e-7
"""Distance at which exponents are one, and share of the largest singular value at which one is zero."""
POLISHING = 8
"""Newton steps at most."""
DIFFERENCE = 1e-4
"""Step of the difference that stands for the derivative by λ in Newton's steps; their fixed points do not depend on it."""

SMALL = 1e-8
"""Determinant of A(ν, ν), for A with a largest entry of one, that counts as none."""

REAL = 1e-6
"""Imaginary part of a root, relative to one and it, up to which it is real: rounding splits double roots by 1e-8."""

NOTHING = 1e-13
"""Share of a term in a component, relative to that of the largest, that is rounding."""

Term = tuple[complex, int, complex, int]
"""p, j, q and m of y^j z^q (ln z)^m, z = x + py."""


@dataclass(frozen=True)
class WedgeSolution:
    """A real solution Re Σ s y^j z^q (ln z)^m, z = x + py, where θ = 0 halves the angle.

    Attributes:
        exponent: λ with Re λ > 0 and Im λ ≥ 0; those with Im λ > 0 come in pairs.
        logarithm: whether it is the derivative by λ of a family of solutions, r^λ (Φ ln r + Ψ).
        terms: p, j, q and m of each [terms].
        shares: factors s [terms][components].
    """

    exponent: complex
    logarithm: bool
    terms: tuple[Term, ...]
    shares: tuple[tuple[complex, ...], ...]

    @property
    def moved(self) -> tuple[bool, ...]:
        """Whether it is not zero, by component."""
        return tuple(any(abs(share) > 0.0 for share in part) for part in zip(*self.shares, strict=True))


@dataclass(frozen=True)
class Root:
    """Solutions X (x + yJ)^λ that belong to coinciding roots p, J = p + N with N nilpotent.

    Attributes:
        p: imaginary part > 0.
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
    """Return whether A(ν, ν) is regular for every direction ν, well away from rounding; A as for ``solutions``.

    Between the directions looked at, its determinant may touch zero: at (1, p) for a real root p.
    """
    angle = np.linspace(0.0, np.pi, 64, endpoint=False)
    normal = np.stack([np.cos(angle), np.sin(angle)])
    if not np.isfinite(tensor).all() or not tensor.any():
        return False
    found = np.linalg.det(np.einsum("at,iakb,bt->tik", normal, tensor / np.abs(tensor).max(), normal))
    if np.abs(found).min() <= SMALL or np.ptp(np.sign(found)) != 0.0:
        return False
    roots = eigvals(_pencil(tensor / np.abs(tensor).max()))
    return bool((np.abs(roots.imag) > REAL * (1.0 + np.abs(roots))).all())


def solutions(
    tensor: Array, angle: float, held: tuple[tuple[bool, ...], tuple[bool, ...]], highest: float
) -> tuple[WedgeSolution, ...]:
    """Return all solutions with exponents up to a bound, smallest first; of whole ones those with a logarithm instead.

    Args:
        tensor: A [n, 2, n, 2], of ∫ A[i, a, k, b] ∂_b u_k ∂_a v_i, elliptic.
        angle: ω of the sector −ω/2 < θ < ω/2, in radians, 0 to 2π.
        held: components that vanish on its side θ = −ω/2 and on the other; the conormal derivative of others vanishes.
        highest: largest real part of λ.
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
    """The conditions on the two sides of a sector; arguments as for ``solutions``."""

    def __init__(self, tensor: Array, angle: float, held: tuple[tuple[bool, ...], tuple[bool, ...]]) -> None:
        self._tensor, self._angle, self._held, self._roots = tensor, angle, np.array(held), _roots(tensor)

    def polished(self, start: complex) -> complex:
        """Return the exponent near one that is known roughly: Newton's steps for D(λ)x = 0 (Ruhe 1973)."""
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
        """Yield the real solutions with an exponent λ, as many as independent ones, twice as many for complex λ."""
        n, real = self._tensor.shape[0], exponent.imag == 0.0
        conditions = self._conditions(exponent)
        scale = np.linalg.norm(conditions, axis=0)
        _, sizes, right = svd(conditions / scale)
        null = right[sizes <= SAME * sizes[0]].conj() / scale if len(right) else right
        pairs = [(c, d.conj()) for c, d in zip(null[:, :n], null[:, n:], strict=True)]
        pairs += [(-1j * c, 1j * d) for c, d in pairs]
        if real:
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
        """Return D(λ) [2n, 2n]: values or conormal derivatives on both sides of X(x + yJ)^λ, and of their conjugates."""
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
        """Yield X Nʲ c of every root."""
        at = 0
        for root in self._roots:
            m = len(root.step)
            for j in range(m):
                yield root, j, root.shapes @ np.linalg.matrix_power(root.step, j) @ c[at : at + m]
            at += m

    def _terms(self, power: complex, c: Complex) -> list[tuple[Term, Complex]]:
        """Return the terms of X(x + yJ)^λ c with their shares [n]."""
        return [((root.p, j, power - j, 0), _binomial(power, j) * part) for root, j, part in self._parts(c)]

    def _slopes(self, power: complex, c: Complex) -> Iterator[tuple[Term, Complex]]:
        """Yield the terms of the derivative of X(x + yJ)^λ c by λ."""
        for root, j, part in self._parts(c):
            yield (root.p, j, power - j, 1), _binomial(power, j) * part
            yield (root.p, j, power - j, 0), _binomial(power, j, True) * part

    def _amplitudes(self, c: Complex) -> Complex:
        """Return what c makes of the components, by which coinciding exponents are told apart [components·terms]."""
        return np.concatenate([part for _, _, part in self._parts(c)])

    def _sign(self, terms: Sequence[tuple[Term, Complex]]) -> float:
        """Return the sign that a function has where it first is noticeable, from the side θ = −ω/2 on."""
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
    """Return the roots p with Im p > 0 of det A(ν, ν), ν = (1, p), coinciding ones together, with their invariant pairs."""
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
    """Return λ with a function Φ ≠ 0 for which −λ²⟨ψ, A_rr Φ⟩ + λ(⟨ψ', A_θr Φ⟩ − ⟨ψ, A_rθ Φ'⟩) + ⟨ψ', A_θθ Φ'⟩ = 0.

    That is the form of r^λ Φ(θ), tested with r^(−λ) ψ(θ), over the angle; Φ and ψ are sums of Legendre polynomials and vanish
    where components are held.
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
    """Return ``count`` independent real combinations of rows [k, n], each with an amplitude of its own that is one."""
    parts = np.array([amplitudes(row) for row in rows])
    parts = np.concatenate([parts.real, parts.imag], axis=1)
    pivots = qr(parts, mode="r", pivoting=True)[-1][:count]
    return np.linalg.pinv(parts[:, pivots]) @ rows


def _binomial(power: complex, j: int, slope: bool = False) -> complex:
    """Return the binomial coefficient of λ over j, or its derivative by λ."""
    polynomial = np.atleast_1d(np.poly(np.arange(j))) / math.factorial(j)
    return complex(np.polyval(np.polyder(polynomial) if slope else polynomial, power))
