"""A march on finite elements: the initial state, the time steps, and the coefficients as functions of time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpinn.domain import CellPoints, LagrangeSpace
from vpinn.errors import InputError
from vpinn.features.orthonormal import AtPoints
from vpinn.finite_elements import rule_degree
from vpinn.finite_elements.newton import factorise
from vpinn.forms import Background
from vpinn.march.elements import ElementEquations
from vpinn.march.integrate import Collapse, Marched
from vpinn.march.radau import Collapsed, Control, Radau
from vpinn.march.sparse import Sparse
from vpinn.march.start import stated_at_start
from vpinn.march.trajectory import Trajectory, nodes, tabulated

Array = NDArray[np.float64]
UNBALANCED = 1e-3
"""Imbalance of an equation, relative to its terms, from which it is not put down to boundary values between nodes."""


@dataclass(frozen=True)
class Stepping:
    """How the time steps of a march are chosen.

    Attributes:
        tolerance: largest relative error of a step, dimensionless, > 0.
        note: called with the time after every step; if it returns False, the march ends.
        largest: largest length of a step, relative to the whole time.
    """

    tolerance: float
    note: Callable[[float], bool]
    largest: float = 1.0


def march_elements(equations: ElementEquations, steps: Stepping) -> Marched:
    """Return the coefficients of all functions [mixed.size] as functions of time.

    Raises:
        Collapse: the steps became too small.
        InputError: a value at the start is not finite, or the equations do not determine the unknowns.
    """
    clock = equations.problem.time
    u, rates = _start(equations)
    _check_balance(equations, clock.start, (u, rates))
    scale = _scale(equations, u, rates)
    if equations.linear and not equations.steady:
        drive = tabulated(equations.drive, clock.start, clock.end, steps.tolerance, 1e-300)
        if drive is not None:
            equations.tabulate(drive)
    control = Control(steps.tolerance, scale, steps.largest * (clock.end - clock.start))
    radau = Radau(equations, clock.start, clock.end, u, rates, control)
    breaks = [clock.start]
    panels = list[Array]()
    target = np.empty((0, 0))
    level = _Level(equations)
    try:
        for step in radau.steps():
            if not len(target):
                target = radau.interpolation((1.0 + nodes(len(step.values))) / 2.0)
            values = target @ step.values
            times = step.t + step.h * (1.0 + nodes(len(step.values))) / 2.0
            panels.append(level(np.stack([equations.whole(float(t), row) for t, row in zip(times, values, strict=True)])))
            breaks.append(radau.t)
            if not steps.note(radau.t):
                break
        _check_balance(equations, radau.t, ((radau.interpolation(np.ones(1)) @ step.values)[0],))
    except Collapsed:
        course = Trajectory.of_panels(breaks, panels) if panels else None
        raise Collapse(course, breaks[-1], panels[-1][-1] if panels else equations.whole(clock.start, u)) from None
    return Marched(Trajectory.of_panels(breaks, panels), len(panels), False)


def _check_balance(equations: ElementEquations, t: float, moments: Sequence[Array]) -> None:
    """Refuse equations that hold for no value of a constant that they leave open.

    Raises:
        InputError: their terms do not balance at an instant.
    """
    if equations.imbalance(t, moments) > UNBALANCED:
        problem = equations.problem
        names = " and ".join(dict.fromkeys(motion.unknown for motion in equations.opened))
        raise InputError(
            f"no solution: {names} is open up to a constant, and source and flux do not balance at t = {t:.3g}; give a "
            "[[boundary]] value, or data that cancel",
            problem.where("form", problem.formulation.name),
        )


class _Level:
    """Removes from fields the constants that the equations do not determine, by projection in L²."""

    def __init__(self, equations: ElementEquations) -> None:
        self._functions = functions = equations.kernel.functions
        self._weighted = np.zeros_like(functions)
        for component, space in enumerate(equations.mixed.spaces if len(functions) else ()):
            numbers = equations.mixed.numbers(component)
            self._weighted[:, numbers] = (space.mass() @ functions[:, numbers].T).T
        self._gram = self._weighted @ functions.T

    def __call__(self, values: Array) -> Array:
        """Return fields [n, mixed.size] without these constants."""
        if not len(self._functions):
            return values
        return np.asarray(values - np.linalg.solve(self._gram, self._weighted @ values.T).T @ self._functions)


def _start(equations: ElementEquations) -> tuple[Array, Array]:
    """Return the initial coefficients and their rates [size] each: projections in L² that satisfy the constraints."""
    problem, mixed, numbering = equations.problem, equations.mixed, equations.numbering
    clock, background = problem.time, Background(mixed.mesh)
    found = []
    for order in (0, 1):
        stated, full = stated_at_start(problem, order), np.zeros(equations.size)
        for component, space in enumerate(mixed.spaces):
            numbers = numbering[mixed.numbers(component)]
            free = numbers >= 0
            if not free.any() or (equations.orders[numbers[free]] <= order).any():
                continue
            known = equations.whole(clock.start, full, order)[mixed.numbers(component)]
            right = _moments(space, stated[component], background, clock)
            if not np.isfinite(right).all():
                raise InputError("a state at the start is not finite at a point of the domain", problem.initial[0].where)
            fold = equations.fold(component)
            mass = space.mass()
            right = fold.T @ (right - mass @ np.where(free, 0.0, known))
            own = np.unique(numbers[free])
            full[own] = factorise((fold.T @ mass @ fold).tocsc()[own][:, own])(right[own])
        found.append(full)
    return _consistent(equations, *found), found[1]


def _moments(space: LagrangeSpace, value: Any, background: Background, clock: Any) -> Array:
    """Return ∫ value φ dx at the initial time, for all functions φ of a space [size]."""
    mesh = space.mesh
    every = CellPoints(mesh, min(30, rule_degree(space.degree, mesh) + 2))
    table = space.tabulate(every.placed)[0]  # [q, n_local]
    q, total = every.per_entity, np.zeros(space.size)
    for index in every.chunks(50_000 // q * q or q):
        points = every.take(index)
        values = (AtPoints([value], points, background, clock)(clock.start)[0] * points.w).reshape(-1, q)
        total += np.bincount(space.dofs[points.cell[::q]].ravel(), (values @ table).ravel(), space.size)
    return total


def _consistent(equations: ElementEquations, u: Array, rates: Array) -> Array:
    """Return the state nearest to u in L² that satisfies the constraints of multipliers, such as div u = 0."""
    multipliers, clock = equations.multipliers, equations.problem.time
    if not multipliers.any() or (equations.orders == 2).any():
        return u
    zero = np.zeros_like(u)
    derivative = equations.linearise(clock.start, u, zero, zero)
    columns = np.repeat(np.arange(len(u)), np.diff(derivative.starts))
    between = multipliers[derivative.rows] != multipliers[columns]
    kept = np.stack([np.where(between, derivative.entries[0], 0.0), derivative.entries[1], derivative.entries[2]])
    missed = np.where(multipliers, -equations.residual(clock.start, u, zero, zero), 0.0)
    moved = Sparse(kept, derivative.rows, derivative.starts).solver(1.0)(missed)
    return np.where(multipliers, u, u + np.real(moved))


def _scale(equations: ElementEquations, u: Array, rates: Array) -> Array:
    """Return the expected size of every coefficient: the root mean square over its unknown, estimated at the start [size]."""
    problem = equations.problem
    mixed = equations.mixed
    clock = equations.problem.time
    span, zero = clock.end - clock.start, np.zeros_like(u)
    whole = [equations.whole(float(t), u) for t in np.linspace(clock.start, clock.end, 5)]
    whole.append(span * equations.whole(clock.start, rates, 1))
    sizes = np.zeros(len(problem.unknowns))
    groups, first = [], 0
    for unknown in problem.unknowns:
        groups.append(slice(int(mixed.first[first]), int(mixed.first[first + unknown.components])))
        first += unknown.components
    for row in whole:
        sizes = np.maximum(sizes, [_mean(row[group]) for group in groups])
    if (sizes == 0.0).any():  # zero at the start: one Euler step over a tenth of the time estimates the size
        shift = 10.0 / span
        derivative = equations.linearise(clock.start, u, rates, zero)
        force = np.max([np.abs(equations.residual(float(t), u, zero, zero)) for t in np.linspace(clock.start, clock.end, 5)], 0)
        driven = equations.whole(clock.start, np.real(derivative.solver(shift)(force)))
        sizes = np.where(sizes == 0.0, [_mean(driven[group]) for group in groups], sizes)
    sizes = np.maximum(sizes, 1e-12 * sizes.max(initial=0.0))
    sizes[sizes == 0.0] = 1.0
    result = np.empty(mixed.size)
    for group, size in zip(groups, sizes, strict=True):
        result[group] = size
    scale = np.ones(equations.size)
    free = equations.numbering >= 0
    scale[equations.numbering[free]] = result[free]
    return scale


def _mean(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))
