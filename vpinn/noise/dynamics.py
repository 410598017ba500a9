"""Items 8, 9 and 11 on a problem: steady state, temperature and excess loss of mini-batch gradient descent near a minimum.

Start from `settle`. Trajectories (class `Walk`) of gradient descent with constant step size, with and without momentum, are run
in the stiff directions of a minimum, and compared with closed forms in `vpinn.noise.steady`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from scipy.interpolate import CubicSpline

from vpinn.noise import rates, steady
from vpinn.noise.draws import Array
from vpinn.noise.finding import Curve, Finding
from vpinn.noise.minimum import Minimum, remembered
from vpinn.noise.questions import Question
from vpinn.noise.walks import FIRST, SETTLING, Walk
from vpinn.optimization import Sgd

SPEED = 0.8
"""Twice the step size of a trajectory over the largest stable one, dimensionless (the code uses half of it)."""
MOMENTUM, LONGER = 0.9, 2
"""Momentum of the trajectory with momentum (default of ``sgd``), and its length relative to others, as it forgets slowly."""
DRIFT = "J is not quadratic over the places visited"
LATE = 0.5
"""Share of an annealed trajectory, at its end, in which the temperature is measured."""
REACH = 5.0
"""Half width, in standard deviations, of the interval on which J is evaluated along a line."""


def settle(minimum: Minimum, size: int, generator: np.random.Generator) -> list[Question]:
    """Compare the steady state near a minimum with theory for several η/b: items 8, 9 and 11.

    Args:
        minimum: The minimum, with its stiff directions.
        size: Points b of the smaller batch; the other one has four times as many.
        generator: Generator of the batches.

    Returns:
        Questions, with curves of the squared distance per direction, the squared radius over η/b, and the density along the
        stiffest direction.
    """
    lam, large = minimum.curvatures, 4 * size
    rate = 0.5 * SPEED * minimum.stable(size, generator)
    settings = ((rate, large), (rate, size), (rates.linear(rate, 0.5), large))
    walks = [Walk(minimum, Sgd(0.0), eta, partial(_same, b), remembered(eta * float(lam[-1])), generator) for eta, b in settings]
    first, other, slow = walks
    named, theory = f"{len(lam)} stiff directions, b = {large}", steady.stationary_error(rate, 1.0, lam, minimum.noise(large))
    radii = [steady.exploration(eta, 1.0, lam, minimum.noise(b)) for eta, b in settings]
    excess = steady.excess_loss(rate, 1.0, lam, minimum.noise(large))

    def rows() -> list[Finding]:
        changed = first.changed()
        each, heat, loss = (_pair(first.mean(part)) for part in (relative, _warmth(minimum, rate), energy))
        temperature = f"temperature: mean λe(1 − ηλ/2) of {named}, against ησ²/(2b)"
        return [
            Finding(8, f"steady error over ηs/(bλ(2 − ηλ)), mean of {named}", 1.0, *each, DRIFT, outside=changed),
            Finding(8, f"exploration radius² of {named}", radii[0], *_pair(first.mean(_radius)), DRIFT, outside=changed),
            Finding(9, temperature, _heat(minimum, rate, large), *heat, DRIFT, outside=changed),
            Finding(11, "excess loss at the steady state: Σ ηs/(2b(2 − ηλ))", excess, *loss, DRIFT, outside=changed),
        ]

    def relative(x: Array) -> Array:
        return np.asarray((x**2 / theory).mean(-1))

    def energy(x: Array) -> Array:
        return np.asarray(0.5 * x**2 @ lam)

    def radius() -> list[Finding]:
        fall = _ratio(_pair(other.mean(_radius)), _pair(first.mean(_radius)))
        outside = other.changed() or first.changed()
        return [Finding(8, "exploration radius² at b over that at 4b", radii[1] / radii[0], *fall, DRIFT, outside=outside)]

    def cooler() -> list[Finding]:
        pair = [_pair(walk.mean(_warmth(minimum, walk.rate))) for walk in (slow, first)]
        outside = slow.changed() or first.changed()
        named = "temperature at η/2 over that at η, same batch"
        return [Finding(9, named, float(rates.linear(1.0, 0.5)), *_ratio(*pair), DRIFT, outside=outside)]

    def curves() -> dict[str, Curve]:
        errors, spread = first.mean(np.square)
        at = np.array([eta / b for eta, b in settings])
        measured, wrong = np.array([_pair(walk.mean(_radius)) for walk in walks]).T
        order, line = np.argsort(at), np.array(radii)
        return {
            "steady": Curve(lam, errors, spread, {"ηs/(bλ(2 − ηλ))": theory}),
            "exploration": Curve(at[order], measured[order], wrong[order], {"Σ ηs/(bλ(2 − ηλ))": line[order]}),
        }

    return [
        Question(first.samples, rows, curves),
        Question((*first.samples, *other.samples), radius),
        Question((*first.samples, *slow.samples), cooler),
        langevin(minimum, large, slow),
        _momentum(minimum, large, generator),
    ]


def _momentum(minimum: Minimum, size: int, generator: np.random.Generator) -> Question:
    """Compare the temperature of heavy-ball steps with ησ²/(2b(1 − μ)): item 9."""
    lam = minimum.curvatures
    eta = 0.5 * SPEED * (1.0 - MOMENTUM) * minimum.stable(size, generator)
    memory = max(remembered(1.0 - MOMENTUM), remembered(eta / (1.0 - MOMENTUM) * float(lam[-1])))
    walk = Walk(minimum, Sgd(MOMENTUM), eta, partial(_same, size), memory, generator, LONGER * FIRST)
    named = f"temperature with momentum {MOMENTUM:g}, b = {size}, against ησ²/(2b(1 − μ))"

    def rows() -> list[Finding]:
        found = _pair(walk.mean(_warmth(minimum, eta, MOMENTUM)))
        return [Finding(9, named, _heat(minimum, eta, size, MOMENTUM), *found, DRIFT, outside=walk.changed())]

    return Question(walk.samples, rows)


def annealing(minimum: Minimum, size: int, generator: np.random.Generator) -> Question:
    """Let the batch size grow like log k with the step k, and compare the temperature in the last half with theory: item 9."""
    lam, points = minimum.curvatures, minimum.people.objective.measures[0].points.size
    rate = 0.5 * SPEED * minimum.stable(size, generator)
    barrier = _heat(minimum, rate, size) * math.log(2.0)  # the first batch is then ``size``
    variance = size * float(minimum.noise(size).mean())

    def wanted(step: int) -> int:
        return int(np.clip(round(steady.annealing_batch(float(step), rate, variance, barrier)), 2, points))

    walk = Walk(minimum, Sgd(0.0), rate, wanted, remembered(rate * float(lam[-1])), generator)

    def rows() -> list[Finding]:
        n = len(walk.few.values)
        used, counts = np.unique([wanted(step) for step in range(n - round(LATE * (n - n // SETTLING)), n)], return_counts=True)
        heat = float(np.average([_heat(minimum, rate, int(b)) for b in used], weights=counts))
        found = _pair(walk.mean(_warmth(minimum, rate), LATE))
        named = f"annealing by b ∝ log k from {size} to {used[-1]:.0f}: temperature at the end"
        return [Finding(9, named, heat, *found, DRIFT, outside=walk.changed())]

    return Question(walk.samples, rows)


def langevin(minimum: Minimum, size: int, walk: Walk) -> Question:
    """Compare the mean of J along the stiffest direction of a trajectory with that of the Gibbs measure: item 9.

    The noise of mini-batches acts like the heat bath of Langevin's equation with temperature T = ησ²/(2b). Since steps are
    finite, the temperature along a parabola is T/(1 − ηλ/2), which the prediction uses.

    Args:
        minimum: The minimum, with its stiff directions.
        size: Points b of the batches of the trajectory.
        walk: The trajectory of gradient descent.
    """
    objective, theta = minimum.people.objective, minimum.people.theta
    direction, lam = torch.from_numpy(minimum.vectors[:, 0].copy()), float(minimum.curvatures[0])
    bath = float(steady.temperature(walk.rate, 1.0, float(minimum.noise(size)[0])))
    heat = bath / (1.0 - 0.5 * walk.rate * lam)
    centre, reach = -float(minimum.rest[0]) / lam, REACH * math.sqrt(heat / lam)
    grid = np.linspace(-reach, reach, 513)
    coarse = grid[::16]
    line = CubicSpline(coarse, [objective.value(theta + (centre + s) * direction) for s in coarse])
    least, spacing = float(line(grid).min()), float(grid[1] - grid[0])
    values = line(grid) - least
    predicted = steady.gibbs_energy(values, heat, spacing)
    named = f"Langevin: mean of J − J* along the stiffest direction, walked with b = {size}, against Gibbs at ησ²/(2b)"

    def height(x: Array) -> Array:
        return np.asarray(line(np.clip(x[..., 0], grid[0], grid[-1])) - least)

    def rows() -> list[Finding]:
        return [Finding(9, named, predicted, *_pair(walk.mean(height)), DRIFT, outside=walk.changed())]

    def curves() -> dict[str, Curve]:
        edges = np.linspace(grid[0], grid[-1], 21)

        def inside(x: Array) -> Array:
            return np.asarray((x[..., :1] >= edges[:-1]) & (x[..., :1] < edges[1:]), dtype=np.float64)

        center, width = 0.5 * (edges[1:] + edges[:-1]), edges[1] - edges[0]
        density = np.interp(center, grid, steady.gibbs(values, heat, spacing))
        measured, error = walk.mean(inside)
        return {"langevin": Curve(center, measured / width, error / width, {"Gibbs": density})}

    return Question(walk.samples, rows, curves)


def _same(size: int, step: int) -> int:
    """Return the same batch size for every step."""
    return size


def _radius(x: Array) -> Array:
    """Return ‖x‖² [n, …] of distances x [n, …, k] from the mean."""
    return np.asarray((x**2).sum(-1))


def _warmth(minimum: Minimum, rate: float, momentum: float = 0.0) -> Callable[[Array], Array]:
    """Return the function from distances [n, …, k] to the temperature [n, …], averaged over the k directions."""
    return lambda x: np.asarray(steady.equipartition(rate, minimum.curvatures, x**2, momentum).mean(-1))


def _heat(minimum: Minimum, rate: float, size: int, momentum: float = 0.0) -> float:
    """Return the theoretical temperature ησ²/(2b(1 − μ)) for batches of ``size`` points, with σ² averaged over directions."""
    return float(steady.temperature(rate, 1.0, float(minimum.noise(size).mean()), momentum))


def _pair(found: tuple[Array, Array]) -> tuple[float, float]:
    return float(found[0]), float(found[1])


def _ratio(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """Return the quotient of two independent measurements and its standard error."""
    value = one[0] / other[0]
    return value, value * math.hypot(one[1] / one[0], other[1] / other[0])
