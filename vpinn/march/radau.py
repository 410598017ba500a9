"""Radau IIA methods for F(t, u, u′, u″) = 0, with any mass matrix: ordinary differential and differential–algebraic equations.

In a step of length h the solution is the polynomial of degree s through the start that fulfils the equations at the s right Radau
points c. With Z = U − u there, U′ = A⁻¹Z/h and U″ = A⁻¹(U′ − u′)/h, so Newton's systems are those of
A₀ + λ/h A₁ + (λ/h)² A₂, the derivatives of F by u, u′ and u″, for every eigenvalue λ of A⁻¹: one real matrix, and complex ones in
pairs. Equations of second order cost no more than those of first, and those without time derivatives hold at the end of
every step (Hairer & Wanner 1996, "Solving ordinary differential equations II", ch. IV.8 and VII).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vpinn.march.tableau import Tableau
from vpinn.march.trajectory import lagrange

Array = NDArray[np.float64]
Solve = Callable[[NDArray[Any]], NDArray[Any]]
STAGES = ((1e-6, 5), (np.inf, 3))
"""Pairs of a tolerance and the number of stages s that is used up to it. The order of the method is 2s − 1."""
ITERATIONS = 10
"""Largest number of Newton iterations in one time step."""
SLOW = 0.02
"""Rate of convergence of Newton's method above which the derivatives are evaluated again."""
SAFETY, LEAST, MOST = 0.9, 0.1, 8.0
"""Safety factor of the predicted step length, and the bounds of the ratio of two consecutive lengths."""
KEPT = 1.3
"""Ratio of the predicted length to the current one up to which the length is kept, so that matrices need no factorisation."""
FIRST = 1e-4
"""Length of the first step, relative to the whole time, before its error is known."""
TINY = 1e-13
"""Length of a step, relative to the whole time, below which the method gives up."""


class Derivatives(Protocol):
    """The derivatives A₀, A₁, A₂ of the equations by u, u′ and u″."""

    def solver(self, shift: complex) -> Solve:
        """Return a solver of linear systems with the matrix A₀ + σA₁ + σ²A₂.

        Raises:
            InputError: the matrix is singular.
        """

    def times(self, first: float, second: float, vector: Array) -> Array:
        """Return (first · A₁ + second · A₂) times a vector."""


class Equations(Protocol):
    """Equations F(t, u, u′, u″) = 0 for the coefficients of a field, linear in the highest derivative of each."""

    @property
    def orders(self) -> NDArray[np.int64]:
        """Order of the highest time derivative of every coefficient [size]."""

    @property
    def linear(self) -> bool:
        """Whether the derivatives of F are constant in time and state."""

    def residual(self, t: float, u: Array, first: Array, second: Array) -> Array:
        """Return F [size]; time derivatives above the order of a coefficient are ignored."""

    def linearise(self, t: float, u: Array, first: Array, second: Array) -> Derivatives:
        """Return the derivatives of F with respect to u, u′ and u″."""


@dataclass(frozen=True)
class TimeStep:
    """One step in time.

    Attributes:
        t: time at its start.
        h: length, in units of time, > 0.
        values: coefficients at the start and at all stages [s + 1, size].
        rates: first time derivatives of the coefficients [s + 1, size].
    """

    t: float
    h: float
    values: Array
    rates: Array


class Collapsed(ArithmeticError):
    """The time steps became too small to go on."""


@dataclass(frozen=True)
class Control:
    """How the length of steps is controlled.

    Attributes:
        tolerance: largest relative error of a step, dimensionless, > 0.
        scale: lower bound of the size of every coefficient in relative errors, > 0 [size].
        largest: largest length of a step, in units of time.
    """

    tolerance: float
    scale: Array
    largest: float


class Radau:
    """Time steps from the start to the end.

    Args:
        equations: the equations to integrate.
        t: initial time.
        end: final time.
        u: coefficients at the initial time [size].
        rates: their first time derivatives [size]; only those of coefficients of second order are used.
        control: how the length of steps is controlled.
    """

    def __init__(self, equations: Equations, t: float, end: float, u: Array, rates: Array, control: Control) -> None:
        self._equations = equations
        self._t = self._begin = t
        self._end = end
        self._control = control
        self._u, self._rates = u, rates
        self._orders = np.asarray(equations.orders)
        self._algebraic, self._second = self._orders == 0, self._orders == 2
        self._method = Tableau.of(next(s for bound, s in STAGES if control.tolerance <= bound))
        self._size = float(np.sqrt(max(1, int((~self._algebraic).sum()))))
        self._derivative: Derivatives | None = None
        self._solvers: tuple[float, list[Solve]] = (0.0, [])
        self._before: TimeStep | None = None
        self._fresh, self._passed = False, 0.0

    @property
    def t(self) -> float:
        """Time at the end of the last step."""
        return self._t

    def interpolation(self, s: Array) -> Array:
        """Return the Lagrange polynomials of the start and all stages at s [m], in units of the step length [m, s + 1]."""
        return self._method.interpolation(s)

    def steps(self) -> Iterator[TimeStep]:
        """Yield the steps.

        Raises:
            Collapsed: the steps became too small.
        """
        span = self._end - self._begin
        h, rejected = FIRST * span, False
        while self._passed < 1.0:
            h = self._fitted(min(h, self._control.largest) / span) * span
            if h < TINY * span:
                raise Collapsed
            found = self._stages(h)
            if found is None:
                if self._fresh or self._equations.linear:
                    h *= 0.25
                self._derivative = None
                rejected = True
                continue
            z, contraction, iterations = found
            error = self._error(h, z, rejected)
            grown = SAFETY * (2 * ITERATIONS + 1) / (2 * ITERATIONS + iterations) * max(error, 1e-16) ** (-1 / (1 + len(z)))
            if not error < 1.0:
                h *= float(np.clip(grown, LEAST, 0.9)) if np.isfinite(error) else LEAST
                rejected = True
                if not self._fresh and not self._equations.linear:
                    self._derivative = None
                continue
            yield self._accept(h, z)
            grown = float(np.clip(grown, 0.2, 1.0 if rejected else MOST))
            keeps = not self._equations.linear and 1.0 <= grown < KEPT
            rejected = False
            if not self._equations.linear and contraction > SLOW:
                self._derivative = None
            self._fresh = False
            h = h if keeps else h * grown

    def _fitted(self, h: float) -> float:
        """Return a step length of at most h, relative to the whole time, that does not pass the end.

        If factorisations stay valid while the length is constant, lengths are powers of two, so that few matrices are factorised.
        """
        left = 1.0 - self._passed
        if not self._equations.linear:
            return left if h > left * (1.0 - 1e-9) else min(h, 0.5 * left)
        power = 2.0 ** min(0, math.floor(math.log2(h) + 1e-9))
        while math.fmod(self._passed, power):
            power /= 2.0
        return power

    def _linearise(self) -> None:
        zero = np.zeros_like(self._u)
        rates = self._rates if self._before is not None or self._second.any() else zero
        self._derivative = self._equations.linearise(self._t, self._u, rates, zero)
        self._solvers, self._fresh = (0.0, []), True

    def _factors(self, h: float) -> list[Solve]:
        if self._derivative is None:
            self._linearise()
        assert self._derivative is not None
        if self._solvers[0] != h:
            shifts = self._method.values / h
            made = [self._derivative.solver(float(s.real) if abs(s.imag) < 1e-9 * abs(s) else complex(s)) for s in shifts]
            self._solvers = h, made
        return self._solvers[1]

    def _guess(self, h: float) -> Array:
        """Return the first iterate of Z: the polynomial of the step before, extrapolated."""
        method, before = self._method, self._before
        if before is None:
            return np.zeros((len(method.c), len(self._u)))
        ahead = 1.0 + method.c * h / before.h
        return method.interpolation(ahead) @ before.values - self._u

    def _stages(self, h: float) -> tuple[Array, float, int] | None:
        """Return Z [s, size], the rate of convergence of Newton's method and its iterations; None if it does not converge."""
        method, equations = self._method, self._equations
        z, solvers = self._guess(h), self._factors(h)
        enough = max(1e-10, min(0.03, self._control.tolerance**0.5))
        times = self._t + h * method.c
        length, contraction = 0.0, 0.0
        for iteration in range(1, ITERATIONS + 1):
            first = method.inverse @ z / h
            second = method.inverse @ (first - self._rates) / h if self._second.any() else first
            with np.errstate(all="ignore"):
                force = np.stack([equations.residual(float(t), self._u + z[k], first[k], second[k]) for k, t in enumerate(times)])
            if not np.isfinite(force).all():
                return None
            moved = method.left @ force
            change = np.zeros_like(z)
            for k, solve in enumerate(solvers):
                real = k == 0
                change -= np.real(np.outer(method.right[:, k], solve(moved[k].real if real else moved[k])))
            z = z + change
            new = float(np.sqrt(np.mean([self._norm(row) ** 2 for row in change])))
            if equations.linear:
                return z, 0.0, 1
            if iteration > 1:
                contraction = new / length if length > 0 else 0.0
                left = ITERATIONS - iteration
                if contraction >= 1.0 or (contraction**left / (1 - contraction) * new > enough):
                    return None
            share = contraction / (1.0 - contraction) if iteration > 1 else 1.0
            if new == 0.0 or (share * new < enough and (iteration > 1 or new < 1e-3 * enough)):
                return z, contraction, iteration
            length = new
        return None

    def _norm(self, vector: Array) -> float:
        """Return the norm of a change relative to the tolerance, over the coefficients that have a time derivative."""
        scaled = np.where(self._algebraic, 0.0, vector) / np.maximum(self._control.scale, np.abs(self._u))
        return float(np.linalg.norm(scaled)) / (self._size * self._control.tolerance)

    def _error(self, h: float, z: Array, rejected: bool) -> float:
        """Return the estimated error of a step relative to the tolerance."""
        method, shift = self._method, float(self._method.values[0].real) / h
        assert self._derivative is not None
        drift = -shift * (method.error @ z)
        solve = self._factors(h)[0]
        if self._second.any():
            rates = method.inverse @ z / h
            pushed = np.where(self._second, self._rates - drift, 0.0)
            slope = np.where(self._second, self._rates, drift)
            second = -shift * (method.error @ (rates - self._rates))
            extra = self._derivative.times(1.0, shift, pushed)
        else:
            slope = second = drift
            extra = np.zeros_like(drift)

        def filtered(u: Array) -> Array:
            with np.errstate(all="ignore"):
                return np.real(solve(extra - self._equations.residual(self._t, u, slope, second)))

        found = filtered(self._u)
        size = self._norm(found)
        if size >= 1.0 and (rejected or self._before is None):
            size = self._norm(filtered(self._u + np.where(self._algebraic, 0.0, found)))
        return size

    def _accept(self, h: float, z: Array) -> TimeStep:
        method = self._method
        stages = self._u + z
        start = self._u
        if self._before is None and self._algebraic.any():  # their values at the start follow from the equations
            start = np.where(self._algebraic, lagrange(method.c, np.zeros(1))[0] @ stages, start)
        first = method.inverse @ z / h
        step = TimeStep(self._t, h, np.concatenate([start[None], stages]), np.concatenate([self._rates[None], first]))
        self._passed += h / (self._end - self._begin)
        if self._passed > 1.0 - 1e-12:
            self._passed = 1.0
        self._t = self._begin + self._passed * (self._end - self._begin)
        self._u, self._rates = stages[-1], first[-1]
        self._before = step
        return step
