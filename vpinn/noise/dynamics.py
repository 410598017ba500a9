"""Items 8, 9 and 11 on a problem: walks of gradient descent near a minimum, on its own batches, with and without momentum."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.interpolate import CubicSpline

from vpinn.noise import rates, steady
from vpinn.noise.draws import Array
from vpinn.noise.finding import Curve, Finding
from vpinn.noise.minimum import Minimum, remembered, walked_mean
from vpinn.optimization import Sgd

SPEED = 0.8
"""Step size times the largest curvature; half of it in the walk that is held against Gibbs' measure."""
MOMENTUM, LONGER = 0.9, 2
"""Of the walk with momentum: the default of ``sgd``, which remembers more steps, and how many times as long it is."""
DRIFT = "the noise changes over the places visited"
REACH = 5.0
"""Standard deviations to which J is looked at along a line."""


def settle(minimum: Minimum, size: int, steps: int, generator: np.random.Generator) -> tuple[list[Finding], dict[str, Curve]]:
    """Let noisy steps settle near the minimum at several η/b: items 8, 9 and 11.

    Returns:
        findings; errors per direction, the radius over η/b, and the density along the stiffest direction.
    """
    lam = minimum.curvatures
    rate, large = SPEED / float(lam[0]), 4 * size
    rows: list[Finding] = []
    curves: dict[str, Curve] = {}
    ratios, radii, heats = [], [], []
    for eta, b in ((rate, large), (rate, size), (rates.linear(rate, 0.5), large)):
        noise = minimum.noise(b)
        path = minimum.walk(Sgd(0.0), eta, np.full(steps, b), generator)[steps // 8 :]
        squares, memory = (path - path.mean(0)) ** 2, remembered(eta * float(lam[-1]))
        errors, spread = walked_mean(squares, memory)
        radius, radius_error = walked_mean(squares.sum(1), memory)
        heats.append(walked_mean(steady.equipartition(eta, lam, squares).mean(1), memory))
        ratios.append(eta / b)
        radii.append((float(radius), float(radius_error), steady.exploration(eta, 1.0, lam, noise)))
        if len(radii) == 3:
            row, curves["langevin"] = langevin(minimum, b, eta, path[:, 0])
            rows.append(row)
        if len(radii) > 1:
            continue
        theory = steady.stationary_error(eta, 1.0, lam, noise)
        each, each_error = walked_mean((squares / theory).mean(1), memory)
        loss, loss_error = walked_mean(0.5 * squares @ lam, memory)
        named = f"{len(lam)} stiff directions, b = {b}"
        rows += [
            Finding(8, f"steady error over ηs/(bλ(2 − ηλ)), mean of {named}", 1.0, float(each), float(each_error), DRIFT),
            Finding(8, f"exploration radius² of {named}", radii[0][2], *radii[0][:2], DRIFT),
            Finding(
                9, f"temperature: mean λe(1 − ηλ/2) of {named}, against ησ²/(2b)", _heat(minimum, eta, b), *_pair(heats[0]), DRIFT
            ),
            Finding(
                11,
                "excess loss at the steady state: Σ ηs/(2b(2 − ηλ))",
                steady.excess_loss(eta, 1.0, lam, noise),
                float(loss),
                float(loss_error),
                DRIFT,
            ),
        ]
        curves["steady"] = Curve(lam, errors, spread, {"ηs/(bλ(2 − ηλ))": theory})
    at, measured, wrong = np.array(ratios), *np.array([r[:2] for r in radii]).T
    order, line = np.argsort(at), np.array([r[2] for r in radii])
    curves["exploration"] = Curve(at[order], measured[order], wrong[order], {"Σ ηs/(bλ(2 − ηλ))": line[order]})
    fall, fall_error = _ratio(radii[1][:2], radii[0][:2])
    half, half_error = _ratio(_pair(heats[2]), _pair(heats[0]))
    rows += [
        Finding(8, "exploration radius² at b over that at 4b", radii[1][2] / radii[0][2], fall, fall_error, DRIFT),
        Finding(9, "temperature at η/2 over that at η, same batch", rates.linear(1.0, 0.5), half, half_error, DRIFT),
        _momentum(minimum, large, steps, generator),
    ]
    return rows, curves


def _momentum(minimum: Minimum, size: int, steps: int, generator: np.random.Generator) -> Finding:
    """Hold the temperature of heavy-ball steps against ησ²/(2b(1 − μ))."""
    lam = minimum.curvatures
    eta = SPEED * (1.0 - MOMENTUM) / float(lam[0])
    path = minimum.walk(Sgd(MOMENTUM), eta, np.full(LONGER * steps, size), generator)[steps // 8 :]
    memory = max(remembered(1.0 - MOMENTUM), remembered(eta / (1.0 - MOMENTUM) * float(lam[-1])))
    found = walked_mean(steady.equipartition(eta, lam, (path - path.mean(0)) ** 2, MOMENTUM).mean(1), memory)
    return Finding(
        9,
        f"temperature with momentum {MOMENTUM:g}, b = {size}, against ησ²/(2b(1 − μ))",
        _heat(minimum, eta, size, MOMENTUM),
        *_pair(found),
        DRIFT,
    )


def annealing(minimum: Minimum, size: int, steps: int, generator: np.random.Generator) -> Finding:
    """Let the batch grow like log k at a fixed step size, and hold the last half's temperature against its batches'."""
    lam, points = minimum.curvatures, minimum.people.objective.measures[0].points.size
    rate = SPEED / float(lam[0])
    barrier = _heat(minimum, rate, size) * math.log(2.0)  # the first batch is then ``size``
    wanted = steady.annealing_batch(np.arange(steps, dtype=np.float64), rate, size * float(minimum.noise(size).mean()), barrier)
    sizes = np.clip(np.round(wanted), 2, points)
    path = minimum.walk(Sgd(0.0), rate, sizes, generator)
    last = slice(steps // 2, None)
    off = (path[last] - path[steps // 4 :].mean(0)) ** 2
    used, counts = np.unique(sizes[last], return_counts=True)
    heat = float(np.average([_heat(minimum, rate, int(b)) for b in used], weights=counts))
    found = walked_mean(steady.equipartition(rate, lam, off).mean(1), remembered(rate * float(lam[-1])))
    return Finding(9, f"annealing by b ∝ log k from {size} to {used[-1]:.0f}: temperature at the end", heat, *_pair(found), DRIFT)


def langevin(minimum: Minimum, size: int, eta: float, x: Array) -> tuple[Finding, Curve]:
    """Hold J along the stiffest direction, walked by gradient descent on batches, against the Gibbs measure: item 9.

    The noise of the batches is the heat bath of Langevin's equation, of temperature T = ησ²/(2b). Finite steps make it appear as
    T/(1 − ηλ/2) along a parabola, which is taken into account.

    Args:
        minimum: where the walk was.
        size: points of its batches b.
        eta: its step size η > 0.
        x: places along the stiffest direction [steps], once they have settled.
    """
    objective, theta = minimum.people.objective, minimum.people.theta
    direction, lam = torch.from_numpy(minimum.vectors[:, 0].copy()), float(minimum.curvatures[0])
    bath = float(steady.temperature(eta, 1.0, float(minimum.noise(size)[0])))
    heat = bath / (1.0 - 0.5 * eta * lam)
    reach = REACH * math.sqrt(heat / lam)
    grid = np.linspace(-reach, reach, 513) + float(x.mean())
    coarse = grid[::16]
    line = CubicSpline(coarse, [objective.value(theta + s * direction) for s in coarse])
    values = line(grid) - line(grid).min()
    spacing = float(grid[1] - grid[0])
    inside = x[(x > grid[0]) & (x < grid[-1])]
    found = walked_mean(line(inside) - line(grid).min(), remembered(eta * lam))
    row = Finding(
        9,
        f"Langevin: mean of J − J* along the stiffest direction, walked with b = {size}, against Gibbs at ησ²/(2b)",
        steady.gibbs_energy(values, heat, spacing),
        *_pair(found),
        DRIFT,
    )
    edges = np.linspace(grid[0], grid[-1], 25)
    counts = np.histogram(x, edges)[0]
    center, width = 0.5 * (edges[1:] + edges[:-1]), edges[1] - edges[0]
    density = np.interp(center, grid, steady.gibbs(values, heat, spacing))
    return row, Curve(center, counts / (len(x) * width), np.sqrt(np.maximum(counts, 1)) / (len(x) * width), {"Gibbs": density})


def _heat(minimum: Minimum, rate: float, size: int, momentum: float = 0.0) -> float:
    """Return ησ²/(2b(1 − μ)) of batches of ``size`` points, σ²/b the mean over the stiff directions."""
    return float(steady.temperature(rate, 1.0, float(minimum.noise(size).mean()), momentum))


def _pair(found: tuple[Array, Array]) -> tuple[float, float]:
    return float(found[0]), float(found[1])


def _ratio(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """Return the quotient of two independent measurements and its standard error."""
    value = one[0] / other[0]
    return value, value * math.hypot(one[1] / one[0], other[1] / other[0])
