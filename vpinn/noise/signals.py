"""Items 3, 5, 6 and 10 on a problem: noise scale and progress, biases, step sizes, clipping."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from vpinn.noise import bias, rates
from vpinn.noise import variance as theory
from vpinn.noise.draws import RARE, Draws, drawer, estimate, mean_and_error, samplers_for
from vpinn.noise.finding import Curve, Finding
from vpinn.noise.population import Population, population
from vpinn.optimization.spectrum import Product

LEFT_OUT = 0.03
"""Share of tr(HΣ) at most that directions not looked at may add, at the largest curvature seen."""
SINGLE = 2_000
"""Points whose squares tell the bias of a squared residual."""


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
        "the norm of the gradient drowns in noise at these sizes" if square <= 0 else RARE if people.batches == 2 else "",
    )


def progress(
    people: Population, product: Product, uniform: dict[int, Draws], falls: int
) -> tuple[list[Finding], Curve, float]:
    """Measure the decrease of J by one best step at every batch size.

    Args:
        people: all points.
        product: with the Hessian there.
        uniform: draws by batch size.
        falls: steps tried per batch size.

    Returns:
        findings on progress and the best step, progress over b relative to the full gradient's, and S weighted by curvature,
        tr(HΣ)/gᵀHg, which replaces tr Σ/‖g‖² where the Hessian is far from a multiple of the identity.
    """
    g = torch.from_numpy(people.gradient)
    bend = float(g @ product(g))
    if bend <= 0:
        reason = "the curvature along the gradient is not positive here"
        return [Finding(3, "progress of one step", math.nan, math.nan, reason=reason)], Curve(np.empty(0), np.empty(0)), math.nan
    weighted = max(_shaken(people, product), 0.0) / bend
    isotropic = theory.noise_scale(people.trace, people.square)
    start, full = people.objective.value(people.theta), 0.5 * people.square**2 / bend
    x, measured, errors, best = [], [], [], []
    for size, draws in sorted(uniform.items()):
        effective = people.trace / people.variance(samplers_for(people.objective, "uniform", size))
        rate = people.square / bend * theory.progress(effective, weighted)
        decrease = np.array(
            [
                [start - people.objective.value(people.theta - f * rate * torch.from_numpy(row)) for f in (1.0, 2.0)]
                for row in draws.gradients[:falls]
            ]
        )
        value, error = mean_and_error(decrease[:, 0])
        one, two = decrease.mean(0)
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


def _shaken(people: Population, product: Product) -> float:
    """Return tr(HΣ) by the leading directions of Σ, as many as leave next to nothing to the others."""
    total, top, left = 0.0, 0.0, people.trace
    for s, v in zip(people.spread, people.directions.T, strict=True):
        bend = float(v @ product(torch.from_numpy(v.copy())).numpy())
        total, top, left = total + s * bend, max(top, abs(bend)), left - s
        if left * top <= LEFT_OUT * abs(total):
            break
    return total


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
    draw = drawer(samplers_for(objective, "uniform", size), generator)
    samples = np.empty(count)
    for k in range(count):
        closure, fresh = estimate(objective, draw), estimate(objective, draw)
        before = closure(people.theta)[1]
        place = people.theta - rate * before
        moved = closure(place)[1] - before
        samples[k] = float((moved - fresh(place)[1] + fresh(people.theta)[1]) @ direction)
    return Finding(
        5,
        f"a batch of {size} used for both loops: bias along the gradient",
        predicted,
        *mean_and_error(samples),
        "the step is too long for the first order of α" if people.batches == 1 else "the theory is that of sums over one batch",
    )


def squares(people: Population, size: int, count: int, generator: np.random.Generator) -> list[Finding]:
    """Measure the bias of ½‖r̂‖² by one batch against ½ Σ tr Σ_r/b over the measures of a weak form: item 5."""
    if people.objective.test_space is None or people.kept is None:
        linear = "an energy or strong form squares nothing that is sampled"
        reason = linear if people.objective.test_space is None else "there are too many points to keep what they contribute"
        return [Finding(5, "bias of a squared residual", math.nan, math.nan, reason=reason)]
    made, one = samplers_for(people.objective, "uniform", size), replace(people.kept, batches=1)
    predicted, wrong = 0.0, 0.0
    for part, sampler in zip(one.parts, made, strict=True):
        alone, n = replace(one, parts=(part,)), sampler.points
        chosen = generator.choice(n, min(n, SINGLE), replace=False)
        points = [[(index, np.array([float(n)]))] for index in chosen[:, None]]
        squared = alone.estimates(points)[0] - n * part.losses[chosen].numpy()  # ½‖Nrᵢ‖²
        whole = alone.estimates([[(np.arange(n), np.ones(n))]])[0][0] - float(part.losses.sum())
        value, error = mean_and_error(squared)
        predicted += float(bias.squared_residual(2.0 * (value - whole), float(sampler.size)))
        wrong = math.hypot(wrong, error / sampler.size * math.sqrt(1.0 - len(chosen) / n))
    value, error = mean_and_error(one.repeat(drawer(made, generator), count).losses - people.objective.value(people.theta))
    return [Finding(5, f"bias of ½‖r̂‖², b = {size}: ½ tr Σ_r/b", predicted, value, math.hypot(error, wrong))]


def batch_normalisation() -> Finding:
    """Return the finding that the networks here have no operation over a batch."""
    return Finding(
        5,
        "bias of batch normalisation",
        math.nan,
        math.nan,
        reason="these networks normalise over no batch; see the suite for the closed form",
    )
