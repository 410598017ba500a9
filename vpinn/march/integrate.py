"""Integrate Galerkin's equations on orthonormal functions in time. Start with `march`.

Linear equations with constant symmetric matrices and a steady drive are solved mode by mode, exactly in time; all others by the
implicit Runge–Kutta method Radau IIA of order five (Hairer & Wanner 1996, ch. IV.8) as scipy has it, with our Jacobian.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import Radau
from scipy.linalg import LinAlgError, eigh

from vpinn.errors import InputError
from vpinn.features.orthonormal import GalerkinSystem
from vpinn.march.trajectory import Trajectory, lagrange, nodes, tabulated

Array = NDArray[np.float64]
DENSE = 6
"""Number of ends of steps that the interpolating polynomial of a step passes through."""
SLACK = 1.0 + 1e-9
"""Factor of the largest step, so that rounding does not leave a tiny last step before an instant."""
LEBESGUE = 20.0
"""Largest Lebesgue constant of an interpolating polynomial; above it the cubic of the step is used instead."""
EXACT, ROUNDING = 1e-4, 1e-12
"""Tolerance of the polynomials in time for modes, relative to the tolerance of steps, and its lower bound."""
NEGLIGIBLE = 1e-8
"""An eigenvalue whose size, estimated from the diagonals of both matrices, is below this share of the largest counts as zero."""
SYMMETRIC = 1e-9
"""Relative asymmetry up to which a matrix counts as symmetric: rounding of its sums over points."""
RESTARTS = 60
"""Largest number of output instants for which a step ends at every one; with more, the solution between steps is used."""


class Collapse(ArithmeticError):
    """The time steps became too small to go on.

    Attributes:
        course: the state up to the collapse; None if no step was taken.
        t: time of the collapse.
        state: state at the collapse [states].
        place: coordinates of the point where the solution changes fastest [d]; None if unknown.
    """

    def __init__(self, course: Trajectory | None, t: float, state: Array) -> None:
        super().__init__(f"the steps become too small at t = {t:.6g}")
        self.course = course
        self.t = t
        self.state = state
        self.place: Array | None = None


@dataclass(frozen=True)
class Marched:
    """The result of a march.

    Attributes:
        course: the state as a function of time.
        steps: number of time steps, ≥ 1; the number of polynomial panels if the solution is exact in time.
        exact: whether the solution is exact in time, up to rounding and its approximation by polynomials.
    """

    course: Trajectory
    steps: int
    exact: bool


def march(
    system: GalerkinSystem,
    state: Array,
    instants: Sequence[float],
    tolerance: float,
    scale: float,
    note: Callable[[float], bool] = lambda t: True,
    least: int = 1,
) -> Marched:
    """Return the state as a function of time.

    Args:
        system: Galerkin's equations.
        state: state at the first instant [system.states].
        instants: rising instants; the first is the start, the last the end.
        tolerance: relative tolerance of a step, dimensionless, > 0.
        scale: Euclidean norm that the coefficients are expected to have, > 0.
        note: called with the time after every step; if it returns False, the march ends.
        least: least number of steps between two instants. Two marches whose difference estimates the error in time should not
            take the same steps.

    Raises:
        Collapse: the steps became too small.
        InputError: the solution grows beyond the range of floating-point numbers.
    """
    if system.linear and system.steady and system.constant_mass:
        modes = _modes(system, state, float(instants[0]))
        if modes is not None:
            return _exactly(system, modes, instants, max(EXACT * tolerance, ROUNDING) * scale)
    if system.linear and not system.steady:
        begin, end = float(instants[0]), float(instants[-1])
        if (drive := tabulated(system.drive, begin, end, tolerance, scale / (end - begin))) is not None:
            system.tabulate(drive)
    path = _Path(float(instants[0]), state)
    done = _stepwise(system, path, instants, _Control(tolerance, scale, least, note))
    if not done:
        raise Collapse(path.course() if len(path.times) > 1 else None, path.times[-1], path.states[-1])
    return Marched(path.course(), len(path.cubics), False)


class _Path:
    """The steps taken so far: states at their ends, and the cubic of each step, which is of lower order than the states."""

    def __init__(self, t: float, state: Array) -> None:
        self.times = [t]
        self.states = [state]
        self.cubics = list[Array]()

    def add(self, t: float, state: Array, dense: Callable[[Array], Array]) -> None:
        """Append a step that ends at time t."""
        t0 = self.times[-1]
        self.cubics.append(dense((t0 + t) / 2 + (t - t0) / 2 * nodes(DENSE)).T)
        self.times.append(t)
        self.states.append(state)

    def course(self) -> Trajectory:
        """Return polynomials through the ends of several steps; the cubic of a step where these would amplify errors."""
        times, states = np.array(self.times), np.stack(self.states)
        panels = []
        for k, cubic in enumerate(self.cubics):
            first = int(np.clip(k - DENSE // 2 + 1, 0, max(len(times) - DENSE, 0)))
            window = slice(first, first + DENSE)
            t0, t1 = times[k], times[k + 1]
            shares = lagrange(times[window], (t0 + t1) / 2 + (t1 - t0) / 2 * nodes(DENSE))
            good = len(shares[0]) == DENSE and np.abs(shares).sum(1).max() <= LEBESGUE
            panels.append(shares @ states[window] if good else cubic)
        return Trajectory.of_panels(times, panels)


@dataclass(frozen=True)
class _Control:
    """How steps are taken; see `march`."""

    tolerance: float
    scale: float
    least: int
    note: Callable[[float], bool]


def _stepwise(system: GalerkinSystem, path: _Path, instants: Sequence[float], control: _Control) -> bool:
    """Take steps until the end, or until ``note`` returns False. Return False if the steps became too small."""
    state = path.states[-1]
    rates = np.linalg.norm(state[system.size :])
    sizes = np.full(system.states, control.scale)
    if system.second.any():
        sizes[system.size :] = max(float(rates), control.scale * _frequency(system, state, float(instants[0])))
    absolute = control.tolerance * sizes / np.sqrt(system.size)
    stops = list(instants[1:]) if len(instants) <= RESTARTS else [instants[-1]]
    first = None
    for stop in stops:
        left = float(stop) - path.times[-1]
        with np.errstate(all="ignore"):
            solver = Radau(
                system.slope,
                path.times[-1],
                path.states[-1],
                float(stop),
                rtol=max(control.tolerance, 1e-13),
                atol=absolute,
                max_step=SLACK * left / control.least,
                jac=system.linear_jacobian if system.linear else system.jacobian,
                first_step=None if first is None else min(first, left / control.least, left),
            )
            while solver.status == "running" and float(stop) - solver.t > ROUNDING * left:
                solver.step()
                if solver.status == "failed" or not np.isfinite(solver.y).all():
                    return False
                reached = float(stop) if float(stop) - solver.t <= ROUNDING * left else float(solver.t)
                path.add(reached, solver.y, solver.dense_output())
                if solver.status == "running":
                    first = solver.h_abs
                if not control.note(reached):
                    return True
    return True


def _frequency(system: GalerkinSystem, state: Array, t: float) -> float:
    """Return the lowest frequency of the linearised equations, in 1/time: the expected rate of oscillation."""
    values = np.abs(np.linalg.eigvals(system.jacobian(t, state)))
    return float(values[values > 1e-8 * values.max()].min()) if values.max() > 0 else 1.0


@dataclass(frozen=True)
class _Modes:
    """Eigenpairs K φ = λ M φ, with the initial state and the drive in the coordinates of the eigenvectors."""

    values: Array
    vectors: Array
    start: Array
    rates: Array
    drive: Array
    second: bool


def _modes(system: GalerkinSystem, state: Array, t: float) -> _Modes | None:
    """Return the modes of a system with symmetric matrices; None if a matrix is not symmetric or a wave equation has damping."""
    second = bool(system.second.all())
    if system.second.any() and not second:
        return None
    zero = np.zeros(system.size)
    k, c, mass = system.matrices(t, zero, zero)
    asymmetric = any(np.abs(one - one.T).max() > SYMMETRIC * np.abs(one).max() for one in (k, mass))
    if asymmetric or (second and np.abs(c).max() > 0.0):
        return None
    try:
        values, vectors = _eigenpairs((k + k.T) / 2, (mass + mass.T) / 2)
    except LinAlgError:
        return None
    a, rates = system.split(state)
    drive = system.residual(t, zero, zero)
    dual = vectors.T @ mass
    return _Modes(values, vectors, dual @ a, dual @ rates, -(vectors.T @ drive), second)


def _eigenpairs(k: Array, mass: Array) -> tuple[Array, Array]:
    """Return values λ, rising, and vectors φ with K φ = λ M φ and φᵀMφ = 1.

    They are computed from M φ = μ (K + σM) φ with μ = 1/(λ + σ) and a shift σ of the size of the least λ, since then the largest
    μ are accurate to rounding. The direct problem K φ = λ M φ has errors as large as the rounding of the largest λ, which for
    bending is 1e12 times the least. The Cholesky factor of K + σM is accurate for entries of such different sizes (Demmel &
    Veselić 1992, SIAM J. Matrix Anal. Appl. 13, 1204–1245).

    Raises:
        LinAlgError: M is not positive definite.
    """
    sizes = np.diag(k) / np.diag(mass)
    shift = float(sizes[sizes > NEGLIGIBLE * sizes.max()].min(initial=np.inf))
    try:
        inverse, vectors = eigh(mass, k + shift * mass) if np.isfinite(shift) else (np.zeros(1), mass)
    except (LinAlgError, ValueError):  # some λ lies below −σ, or there is no σ
        inverse = np.zeros(1)
    if not inverse.min() > 0.0:
        values, vectors = eigh(k, mass)
        return values, vectors
    return (1.0 / inverse - shift)[::-1], (vectors / np.sqrt(inverse))[:, ::-1]


def _exactly(system: GalerkinSystem, modes: _Modes, instants: Sequence[float], tolerance: float) -> Marched:
    """Return the exact solution of c″ + λc = g, or of c′ + λc = g, for every mode."""
    begin, lam = float(instants[0]), modes.values

    def states(t: Array) -> Array:
        s = (t - begin)[:, None]
        if not modes.second:
            with np.errstate(all="ignore"):
                grown = np.exp(-lam * s)
                whole = np.where(np.abs(lam * s) > 1e-12, -np.expm1(-lam * s) / lam, s)
                return np.asarray((modes.start * grown + modes.drive * whole) @ modes.vectors.T)
        omega = np.sqrt(np.abs(lam))
        with np.errstate(all="ignore"):
            wave, sine = np.cos(omega * s), np.where(omega * s > 1e-8, np.sin(omega * s) / omega, s)
            up, upper = np.cosh(omega * s), np.where(omega * s > 1e-8, np.sinh(omega * s) / omega, s)
            c, d = np.where(lam >= 0, wave, up), np.where(lam >= 0, sine, upper)
            half = np.where(omega * s > 1e-6, (1 - c) / lam, s * s / 2)
        place = modes.start * c + modes.rates * d + modes.drive * half
        rate = -modes.start * lam * d + modes.rates * c + modes.drive * d
        return np.concatenate([place @ modes.vectors.T, rate @ modes.vectors.T], axis=1)

    if not np.isfinite(states(np.array([float(t) for t in instants]))).all():
        raise InputError(
            "the solution grows beyond all numbers; shorten domain.time, or look for a wrong sign in the form",
            system.problem.where("form", system.problem.formulation.name),
        )
    course = Trajectory.of_function(states, [float(t) for t in instants], tolerance)
    assert course is not None
    return Marched(course, len(course.values), True)
