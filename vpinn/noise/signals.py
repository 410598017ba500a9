"""Items 3, 5, 6 and 10 on a problem: noise scale and progress, biases, step sizes, clipping."""

from __future__ import annotations

import math

import numpy as np
import torch

from vpinn.noise import bias, rates
from vpinn.noise import variance as theory
from vpinn.noise.draws import Draws, drawer, estimate, mean_and_error, samplers_for
from vpinn.noise.finding import Curve, Finding
from vpinn.noise.population import Population, population
from vpinn.optimization.spectrum import Product

FALLS = 100
"""Steps taken to measure the decrease by one step."""


def scale(people: Population, uniform: dict[int, Draws]) -> Finding:
    """Hold the noise scale of all points against that from gradient norms at two batch sizes (McCandlish et al. 2018, A.1)."""
    small, large = min(uniform), max(uniform)
    (a, da), (b, db) = (mean_and_error((uniform[size].gradients ** 2).sum(1)) for size in (small, large))
    inverse = [people.variance(samplers_for(people.objective, "uniform", size)) / people.trace for size in (small, large)]
    trace, square = (a - b) / (inverse[0] - inverse[1]), (inverse[0] * b - inverse[1] * a) / (inverse[0] - inverse[1])
    value = trace / square if square > 0 else math.nan
    error = value * math.hypot(
        math.hypot(da, db) / abs(a - b), math.hypot(inverse[0] * db, inverse[1] * da) / abs(square) / (inverse[0] - inverse[1])
    )
    return Finding(
        3,
        f"noise scale S, from gradient norms at b = {small} and {large}",
        theory.noise_scale(people.trace, people.square),
        value,
        error,
        "the norm of the gradient drowns in noise at these sizes" if square <= 0 else "",
    )


def progress(people: Population, product: Product, uniform: dict[int, Draws]) -> tuple[list[Finding], Curve, float]:
    """Measure the decrease of J by one best step at every batch size.

    Returns:
        findings on progress and the best step, progress over b relative to the full gradient's, and S weighted by curvature,
        tr(HΣ)/gᵀHg, which replaces tr Σ/‖g‖² where the Hessian is far from a multiple of the identity.
    """
    g = torch.from_numpy(people.gradient)
    bend = float(g @ product(g))
    if bend <= 0:
        reason = "the curvature along the gradient is not positive here"
        return [Finding(3, "progress of one step", math.nan, math.nan, reason=reason)], Curve(np.empty(0), np.empty(0)), math.nan
    shaken = sum(
        s * float(v @ product(v)) for s, v in zip(people.spread, map(torch.from_numpy, people.directions.T.copy()), strict=True)
    )
    weighted = max(shaken, 0.0) / bend
    isotropic = theory.noise_scale(people.trace, people.square)
    start, full = people.objective.value(people.theta), 0.5 * people.square**2 / bend
    x, measured, errors, best = [], [], [], []
    fewest = min(200, *(len(draws.losses) for draws in uniform.values()))
    for size, draws in sorted(uniform.items()):
        effective = people.trace / people.variance(samplers_for(people.objective, "uniform", size))
        rate = people.square / bend * theory.progress(effective, weighted)
        falls = np.array(
            [
                [start - people.objective.value(people.theta - f * rate * torch.from_numpy(row)) for f in (1.0, 2.0)]
                for row in draws.gradients[:fewest]
            ]
        )
        value, error = mean_and_error(falls[:, 0])
        one, two = falls.mean(0)
        vertex = (4 * one - two) / (4 * one - 2 * two)  # of the parabola through 0, one and two steps
        x.append(effective)
        measured.append(value / full)
        errors.append(error / full)
        best.append(vertex)
    sizes = np.array(x)
    lines = {
        "1/(1 + S/b), S = tr(HΣ)/gᵀHg": theory.progress(sizes, weighted),
        "1/(1 + S/b), S = tr Σ/‖g‖²": theory.progress(sizes, isotropic),
    }
    curve = Curve(sizes, np.array(measured), np.array(errors), lines)
    k = len(x) // 2
    curved = "the decrease is not quadratic over a step as long as this"
    rows = [
        Finding(
            3,
            f"progress of one step at b = {x[k]:.0f}, over the full gradient's; S = {weighted:.0f} weighted by curvature",
            float(theory.progress(x[k], weighted)),
            measured[k],
            errors[k],
            curved,
        ),
        Finding(
            3,
            f"the same with S = tr Σ/‖g‖² = {isotropic:.0f}",
            float(theory.progress(x[k], isotropic)),
            measured[k],
            errors[k],
            "the Hessian is no multiple of the identity",
        ),
        Finding(6, f"best step at b = {x[k]:.0f}, over η₁/(1 + S/b)", 1.0, float(best[k]), 0.0, curved),
    ]
    return rows, curve, weighted


def adam(people: Population, uniform: dict[int, Draws]) -> Finding:
    """Hold the mean of g/√v over the weights against Σ|μ|/√(μ² + σ²/b), from the variances at the smallest batch."""
    small, large = min(uniform), max(uniform)
    mean = np.abs(people.gradient)
    ratio = people.variance(samplers_for(people.objective, "uniform", large)) / people.variance(
        samplers_for(people.objective, "uniform", small)
    )
    variance = uniform[small].gradients.var(0, ddof=1) * ratio
    predicted = float(rates.adam_drift(1.0, 1.0, 0.0) * (mean / np.sqrt(mean**2 + variance)).mean())
    second = (uniform[large].gradients ** 2).mean(0)
    count = len(uniform[large].losses)
    return Finding(
        6,
        f"Adam's mean step over η at b = {large}, from variances at b = {small}",
        predicted,
        float((mean / np.sqrt(second)).mean()),
        predicted / math.sqrt(count),
    )


def clipping(people: Population, draws: Draws, size: int) -> tuple[list[Finding], Curve, float]:
    """Clip a batch's gradients at many thresholds: item 10.

    Returns:
        findings, mean-squared error over thresholds, and the best threshold measured.
    """
    norms = np.linalg.norm(draws.gradients, axis=1)
    along = draws.gradients @ people.gradient
    variance = people.variance(samplers_for(people.objective, "uniform", size))
    length = math.sqrt(people.square)
    thresholds = np.geomspace(0.1, 4.0, 60) * math.sqrt(people.square + variance)
    factor = np.minimum(1.0, thresholds[:, None] / norms)  # [thresholds, draws]
    errors = factor**2 * norms**2 - 2 * factor * along + people.square
    measured = errors.mean(1)
    best = int(measured.argmin())
    gaussian = bias.clipped_gaussian(thresholds, people.square, variance)
    exponential = bias.clipped_exponential(thresholds, length)[2] * (people.square + variance) / people.square
    nearest = int(np.abs(thresholds - bias.best_threshold(people.square, variance)).argmin())
    value, error = mean_and_error(errors[nearest])
    spread = "the norms of these batches vary, and the theory takes them as equal"
    rows = [
        Finding(
            10, f"clipping at ‖g‖/√(1 + S/b), b = {size}: mean-squared error", float(gaussian[nearest]), value, error, spread
        ),
        Finding(
            10,
            "best threshold over ‖g‖: many dimensions",
            bias.best_threshold(people.square, variance) / length,
            thresholds[best] / length,
            0.0,
            "the minimum is flat",
            0.2,
        ),
        Finding(
            10,
            "best threshold over ‖g‖: exponential magnitudes",
            1.0,
            thresholds[best] / length,
            0.0,
            "norms of batch gradients are not exponential, and g has a direction",
            0.2,
        ),
    ]
    lines = {"equal norms in many dimensions": gaussian, "exponential magnitudes": exponential}
    return rows, Curve(thresholds, measured, errors.std(1, ddof=1) / math.sqrt(len(norms)), lines), float(thresholds[best])


def reuse(people: Population, size: int, rate: float, count: int, generator: np.random.Generator) -> Finding:
    """Measure the bias of ∇J_B(θ − αg_B) by the batch B's being used twice: −(α/2b)∇tr Σ along the gradient, item 5."""
    objective, g = people.objective, people.gradient
    direction = torch.from_numpy(g / math.sqrt(people.square))
    step = 1e-4 * float(people.theta.norm())
    traces = [
        population(objective, people.theta + sign * step * direction, generator, 0).trace for sign in (1, -1)
    ]
    weight = people.variance(samplers_for(objective, "uniform", size)) / people.trace  # 1/b
    predicted = -0.5 * rate * weight * (traces[0] - traces[1]) / (2 * step)
    draw = drawer(objective, samplers_for(objective, "uniform", size), generator)
    samples = np.empty(count)
    for k in range(count):
        closure = estimate(objective, draw)
        before = closure(people.theta)[1]
        place = people.theta - rate * before
        moved = closure(place)[1] - before
        samples[k] = float((moved - objective.gradient(place)[1] + torch.from_numpy(g)) @ direction)
    return Finding(
        5,
        f"a batch of {size} used for both loops: bias along the gradient",
        predicted,
        *mean_and_error(samples),
        "the step is too long for the first order of α",
    )


def squares(people: Population, size: int, count: int, generator: np.random.Generator) -> list[Finding]:
    """Measure the bias of ½‖r̂‖² against ½ tr Σ_r/b on a weak form: item 5."""
    objective, space = people.objective, people.objective.test_space
    if space is None:
        return [
            Finding(
                5,
                "bias of a squared residual",
                math.nan,
                math.nan,
                reason="an energy or strong form squares nothing that is sampled",
            )
        ]
    made = samplers_for(objective, "uniform", size)
    draw = drawer(objective, made, generator)
    full = objective.residual(people.theta)
    norm = float((full * space.riesz(full)).sum())
    single = np.empty(count)
    for k in range(count):
        measure = objective.measures[0]
        index = generator.integers(measure.points.size, size=1)
        with torch.no_grad():
            single[k] = (
                2 * objective.sampled(people.theta, [(measure, measure.batch(index, np.full(1, float(measure.points.size))))])[0]
            )
    predicted = float(bias.squared_residual(float(single.mean()) - norm, float(made[0].size)))
    values = np.array([objective.sampled(people.theta, draw())[0] for _ in range(count)]) - 0.5 * norm
    value, error = mean_and_error(values)
    spread = float(single.std(ddof=1)) / math.sqrt(count) * 0.5 / made[0].size
    return [
        Finding(
            5,
            f"bias of ½‖r̂‖², b = {size}: ½ tr Σ_r/b",
            predicted,
            value,
            math.hypot(error, spread),
            "a boundary part is sampled too",
        )
    ]


def batch_normalisation() -> Finding:
    """Return the finding that the networks here have no operation over a batch."""
    return Finding(
        5,
        "bias of batch normalisation",
        math.nan,
        math.nan,
        reason="these networks normalise over no batch; see the suite for the closed form",
    )
