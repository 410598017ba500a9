"""Items 7, 8 and 9 on a problem: stability, steady states near a minimum, temperature, Langevin paths, annealing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq
from torch import Tensor

from vpinn.errors import InputError
from vpinn.noise import rates, steady
from vpinn.noise.contributions import Contributions
from vpinn.noise.draws import Array, drawer, estimate, samplers_for
from vpinn.noise.finding import Curve, Finding
from vpinn.noise.gradients import point_gradients
from vpinn.noise.population import Population, population
from vpinn.objective import Objective
from vpinn.optimization.spectrum import difference_product, leading

STIFF = 0.1
"""Directions are looked at whose curvature is at least this share of the largest: slower ones would not settle in time."""
MOST = 6
"""Directions looked at."""
SPEED = 0.8
"""Step size times the largest curvature."""


@dataclass(frozen=True)
class Minimum:
    """A place near a minimum, and the stiff directions there.

    Attributes:
        people: all points' gradients along the directions.
        curvatures: λᵢ > 0 [k], falling.
        quadratic: what two batches add to the variances along the directions [measures, measures, k]; None if nothing.
    """

    people: Population
    curvatures: Array
    quadratic: Array | None = None

    @classmethod
    def at(cls, objective: Objective, theta: Tensor, generator: np.random.Generator) -> Minimum:
        """Look around θ [size].

        Raises:
            InputError: no direction has positive curvature.
        """
        count, product = min(MOST, len(theta)), difference_product(objective.gradient, theta)
        found = leading(product, len(theta), count, generator, min(len(theta), 3 * count + 4))
        keep = (found.values >= STIFF * np.abs(found.values).max()) & (found.residuals <= 1e-2 * found.values)
        if not keep.any():
            raise InputError("no direction of positive curvature was found where training ended; train longer (solver.steps)")
        people = population(objective, theta, generator, found.vectors[:, keep])
        contributions = None if people.batches == 1 else Contributions.at(objective, theta, people.directions)
        added = None if contributions is None else contributions.products(generator)
        return cls(people, found.values[keep], None if added is None else added[..., :-1])

    @property
    def vectors(self) -> Array:
        """Eigenvectors [size, k]."""
        return self.people.directions

    def noise(self, size: int) -> Array:
        """Return the variances [k] along the eigenvectors of gradients by ``size`` points of the domain."""
        shares = np.array([1.0 / s.size for s in samplers_for(self.people.objective, "uniform", size)])
        linear = float(shares @ self.people.traces) / self.people.batches / self.people.trace * self.people.spread
        return linear if self.quadratic is None else linear + np.einsum("j,k,jkp->p", shares, shares, self.quadratic)

    def walk(self, rate: float, sizes: Array, generator: np.random.Generator) -> Array:
        """Return places [steps, k] of gradient descent in the stiff subspace, a batch of the given size at each step."""
        objective, theta = self.people.objective, self.people.theta
        basis = torch.from_numpy(self.vectors)
        place = torch.zeros(basis.shape[1], dtype=torch.float64)
        draws, path = {}, np.empty((len(sizes), len(place)))
        for k, size in enumerate(sizes.tolist()):
            if size not in draws:
                draws[size] = drawer(samplers_for(objective, "uniform", int(size)), generator)
            gradient = estimate(objective, draws[size])(theta + basis @ place)[1]
            place = place - rate * (basis.T @ gradient)
            path[k] = place.numpy()
            if not np.isfinite(path[k]).all():
                raise InputError("steps near the minimum diverged, so that its steady state cannot be measured; train longer")
        return path


def settle(minimum: Minimum, size: int, steps: int, generator: np.random.Generator) -> tuple[list[Finding], dict[str, Curve]]:
    """Let noisy steps settle near the minimum at several η/b: items 8, 9 and 11.

    Returns:
        findings; errors per direction and the radius over η/b.
    """
    lam = minimum.curvatures
    rate = SPEED / float(lam[0])
    rows: list[Finding] = []
    ratios, radii, wrong, predicted = [], [], [], []
    curves: dict[str, Curve] = {}
    for factor, multiple in ((1.0, 1), (1.0, 4), (0.5, 4)):
        noise = minimum.noise(size * multiple)
        path = minimum.walk(factor * rate, np.full(steps, size * multiple), generator)[steps // 8 :]
        errors, spread = _variances(path, factor * rate * lam)
        theory = steady.stationary_error(factor * rate, 1.0, lam, noise)
        ratios.append(factor * rate / (size * multiple))
        radii.append(float(errors.sum()))
        wrong.append(float(np.linalg.norm(spread)))
        predicted.append(float(theory.sum()))
        if multiple == 4 and factor == 1.0:
            drift = "the noise changes over the places visited"
            off = errors / theory
            rows += [
                Finding(
                    8,
                    f"steady error along {len(lam)} stiff eigenvectors over ηs/(bλ(2 − ηλ)), mean; b = {size * multiple}",
                    1.0,
                    float(off.mean()),
                    float(np.linalg.norm(spread / theory)) / len(lam),
                    drift,
                ),
                Finding(8, f"exploration radius², {len(lam)} stiff directions", predicted[-1], radii[-1], wrong[-1], drift),
                Finding(
                    9,
                    "temperature: mean of λe(2 − ηλ)/2, against ησ²/(2b)",
                    float(steady.temperature(factor * rate, 1.0, float(noise.mean()))),
                    float((lam * errors * (2 - factor * rate * lam) / 2).mean()),
                    float(np.linalg.norm(lam * spread)) / len(lam),
                    drift,
                ),
                Finding(
                    11,
                    "excess loss at the steady state: Σ ηs/(2b(2 − ηλ))",
                    float(0.5 * lam @ theory),
                    0.5 * float(lam @ errors),
                    0.5 * float(np.linalg.norm(lam * spread)),
                    drift,
                ),
            ]
            curves["steady"] = Curve(lam, errors, spread, {"ηs/(bλ(2 − ηλ))": theory})
    order = np.argsort(ratios)
    curves["exploration"] = Curve(
        np.array(ratios)[order], np.array(radii)[order], np.array(wrong)[order], {"Σ ηs/(bλ(2 − ηλ))": np.array(predicted)[order]}
    )
    rows.append(
        Finding(
            8,
            "exploration radius² at b over that at 4b",
            predicted[0] / predicted[1],
            radii[0] / radii[1],
            radii[0] / radii[1] * math.hypot(wrong[0] / radii[0], wrong[1] / radii[1]),
            "the noise changes over the places visited",
        )
    )
    return rows, curves


def annealing(minimum: Minimum, size: int, steps: int, generator: np.random.Generator) -> Finding:
    """Let the batch grow like log k, and hold the last fifth's temperature against the last batch's."""
    lam = minimum.curvatures
    rate = SPEED / float(lam[0])
    grown = size * np.log(np.arange(steps) + 2.0) / math.log(2.0)
    sizes = np.minimum(np.round(grown / 16) * 16 + 16, minimum.people.objective.measures[0].points.size)
    path = minimum.walk(rate, sizes, generator)
    last = slice(4 * steps // 5, None)
    errors, spread = _variances(path[last], rate * lam)
    heat = steady.temperature(rate, 1.0, float(minimum.noise(int(sizes[last].mean())).mean()))
    measured = lam * errors * (2 - rate * lam) / 2
    return Finding(
        9,
        f"annealing by b ∝ log k from {size}: temperature at the end",
        float(heat),
        float(measured.mean()),
        float(np.linalg.norm(lam * spread)) / len(lam),
        "the noise changes over the places visited",
    )


def _variances(path: Array, relaxation: Array) -> tuple[Array, Array]:
    """Return variances [k] of a path's places and their standard errors: n(1 − q²)/(1 + q²) independent ones, q = 1 − ηλ."""
    variance = path.var(0)
    memory = (1 - relaxation) ** 2
    count = np.maximum(2.0, len(path) * (1 - memory) / (1 + memory))
    return variance, variance * np.sqrt(2.0 / count)


def stability(minimum: Minimum, steps: int = 6) -> Finding:
    """Find the step size above which full gradient steps near the minimum fly apart: item 7."""
    objective, theta, top = minimum.people.objective, minimum.people.theta, torch.from_numpy(minimum.vectors[:, 0].copy())
    limit = rates.stability(float(minimum.curvatures[0]))
    kick = 1e-4 * float(theta.norm())
    rest = objective.gradient(theta)[1]

    def growth(rate: float) -> float:
        place = theta + kick * top
        for _ in range(steps):
            place = place - rate * (objective.gradient(place)[1] - rest)
        return math.log(max(abs(float((place - theta) @ top)), 1e-300) / kick)

    low, high = 0.7 * limit, 1.4 * limit
    while growth(high) <= 0.0 and high < 10.0 * limit:
        high *= 1.5
    found = brentq(growth, low, high, xtol=0.01 * limit) if growth(low) < 0.0 < growth(high) else math.nan
    return Finding(
        7,
        "largest stable step size of gradient descent: 2/λ_max",
        limit,
        found,
        limit * 0.01,
        "other directions are stiffer at some distance",
    )


def batch_limits(
    objective: Objective, theta: Tensor, size: int, draws: int, generator: np.random.Generator
) -> tuple[list[Finding], float]:
    """Compare limits of the step size that depend on the batch, along the stiffest direction at θ: item 7.

    Returns:
        findings, and the largest stable step size for batches of ``size`` points at θ.
    """
    spectrum = leading(difference_product(objective.gradient, theta), len(theta), 1, generator, steps=min(len(theta), 16))
    lam, top = abs(float(spectrum.values[0])), torch.from_numpy(spectrum.vectors[:, 0].copy())
    step = 1e-5 * float(theta.norm())
    bends = [np.zeros(m.points.size) for m in objective.measures]
    for sign in (1, -1):
        for k, start, part in point_gradients(objective, theta + sign * step * top):
            bends[k][start : start + len(part)] += sign / (2 * step) * (part @ top).numpy()
    made = samplers_for(objective, "uniform", size)
    two = 2 if objective.test_space is not None and objective.estimator == "two-batch" else 1
    spread = sum(s.variance(v) for s, v in zip(made, bends, strict=True)) / two
    draw, seen = drawer(made, generator), np.empty(draws)
    for k in range(draws):
        closure = estimate(objective, draw)
        seen[k] = float((closure(theta + step * top)[1] - closure(theta - step * top)[1]) @ top) / (2 * step)
    limit = rates.warmup_limit(1.0, lam, spread)
    first, second = seen.mean(), (seen**2).mean()
    wrong = 2 * abs(first) / second * float((seen**2).std(ddof=1)) / math.sqrt(draws) / second
    total = sum(float(b.sum()) for b in bends)
    single = np.abs(len(bends[0]) * bends[0] - (total - lam))  # influences on a square add up to twice its curvature
    high, low = float(single.max()), float(np.median(single))
    bound = float(rates.heterogeneous(float(made[0].size), high, low))
    return [
        Finding(
            7,
            f"warm-up limit at the start, b = {size}: 2λ/(λ² + v/b)",
            float(limit),
            float(2 * abs(first) / second),
            wrong,
            "the product of two batches spreads more",
        ),
        Finding(
            7,
            f"2b/(L_H + (b − 1)L_L) over the least 2/ĥ of batches, L_H/L_L = {high / max(low, 1e-300):.0f}; at most",
            1.0,
            bound / (2.0 / float(np.abs(seen).max())),
            0.0,
            "a bound: below one it holds, and says how pessimistic it is"
            if bound * np.abs(seen).max() <= 2
            else "several hard points came together",
            1.0,
        ),
    ], float(limit)


def langevin(minimum: Minimum, generator: np.random.Generator) -> tuple[Finding, Curve]:
    """Run Langevin paths on J along the stiffest direction, and hold their histogram against the Gibbs measure: item 9."""
    objective, theta = minimum.people.objective, minimum.people.theta
    direction, lam = torch.from_numpy(minimum.vectors[:, 0].copy()), float(minimum.curvatures[0])
    low, g = objective.gradient(theta)
    theta = theta - float(g @ direction) / lam * direction  # to where J is least along the line
    reach = 4.0 * math.sqrt(2 * max(abs(low), 1e-6) * 1e-3 / lam)
    heat = lam * (reach / 4) ** 2
    grid = np.linspace(-1.6 * reach, 1.6 * reach, 129)
    values = CubicSpline(grid[::4], [objective.value(theta + x * direction) - low for x in grid[::4]])(grid)
    slope = np.gradient(values, grid, edge_order=2)
    rate, paths = 0.02 / lam, 4000
    kick = rate * math.sqrt(steady.langevin_noise(heat, rate))
    x = generator.standard_normal(paths) * reach / 4
    for _ in range(600):
        x = x - rate * np.interp(x, grid, slope) + kick * generator.standard_normal(paths)
    edges = np.linspace(-reach, reach, 25)
    counts = np.histogram(x, edges)[0]
    density = steady.gibbs(values, heat, float(grid[1] - grid[0]))
    center, width = 0.5 * (edges[1:] + edges[:-1]), edges[1] - edges[0]
    expected = np.interp(center, grid, density)
    found = counts / (paths * width)
    unlike = 0.5 * float(np.abs(found - expected).sum() * width)
    noise = 0.5 * float(np.sqrt(2 / math.pi * expected * width / paths).sum())
    row = Finding(
        9,
        "Langevin paths along the stiffest direction: total variation from Gibbs, against that of counting",
        noise,
        unlike,
        0.5 * noise,
        "the step size's own error",
        0.25,
    )
    return row, Curve(center, found, np.sqrt(np.maximum(counts, 1)) / (paths * width), {"Gibbs": expected})
